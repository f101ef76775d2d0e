/**
 * Uncompressed Matroska, the plainest stream in which every frame carries its own time: an EBML header, then one
 * cluster with one block a frame, in microseconds. A raw video pipe has no times and could only say "30 a second".
 * Element ids are those of RFC 9559.
 */
type Picture = { width: number; height: number; frameRate: [number, number] }

const unknownSize = Buffer.from([0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])

/** What comes before the first frame of rgb24 pictures. */
export function matroskaHeader({ width, height, frameRate: [num, den] }: Picture): Buffer {
  const ebml = element(0x1a45dfa3, [
    uint(17030, 1),
    uint(17143, 1),
    uint(17138, 4),
    uint(17139, 8),
    element(17026, [Buffer.from('matroska')]),
    uint(17031, 4),
    uint(17029, 2),
  ])
  const info = element(0x1549a966, [uint(0x2ad7b1, 1_000)])
  const video = element(0xe0, [
    ...[uint(0xb0, width), uint(0xba, height)],
    element(0x2eb524, [Buffer.from([0x52, 0x47, 0x42, 24])]),
  ])
  const track = element(0xae, [
    ...[uint(0xd7, 1), uint(0x73c5, 1), uint(0x83, 1), uint(0x9c, 0)],
    uint(0x23e383, Math.round((1e9 * den) / num)),
    element(0x86, [Buffer.from('V_UNCOMPRESSED')]),
    video,
  ])
  const segment = Buffer.concat([id(0x18538067), unknownSize])
  return Buffer.concat([ebml, segment, info, element(0x1654ae6b, [track])])
}

/** What comes before the `bytes` of one frame shown at `micros` microseconds. */
export function frameHeader(micros: number, bytes: number): Buffer {
  const time = uint(0xe7, micros)
  const block = Buffer.concat([id(0xa3), size(bytes + 4), Buffer.from([0x81, 0, 0, 0x80])])
  return Buffer.concat([id(0x1f43b675), size(time.length + block.length + bytes), time, block])
}

function element(elementId: number, parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([id(elementId), size(body.length), body])
}

function uint(elementId: number, value: number): Buffer {
  const body = Buffer.alloc(8)
  body.writeBigUInt64BE(BigInt(value))
  return element(elementId, [body])
}

function id(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes.subarray(bytes.findIndex((byte) => byte !== 0))
}

/** Lengths are always written in eight bytes: simple, and nothing beside a frame of pixels. */
function size(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value) | (1n << 56n))
  return bytes
}
