import { crc32, deflateSync } from 'node:zlib'

/** Small files that claim to be enormous, as nobody's camera makes them. */

const u32 = (...values: number[]) => {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4)
  return bytes
}
const u16 = (...values: number[]) => Buffer.concat(values.map((value) => u32(value).subarray(2)))

const box = (type: string, ...parts: Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  return Buffer.concat([u32(body.length + 8), Buffer.from(type, 'latin1'), body])
}
const fullBox = (type: string, ...parts: Uint8Array[]) => box(type, u32(0), ...parts)
const unity = u32(0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000)

type Claims = { frames: number; tracks?: number; size?: number }

/** An MP4 of a few kilobytes whose index names so many frames in each track, all of one byte. */
export function claimingMp4({ frames, tracks = 1, size = 64 }: Claims): Buffer {
  const ftyp = box('ftyp', Buffer.from('isom\0\0\u0002\0isom', 'latin1'))
  const mdat = box('mdat', Buffer.alloc(1_000, 0xff))
  const entry = box(
    'mjpg',
    ...[u16(0, 0, 0, 1), Buffer.alloc(16), u16(size, size), u32(0x48_0000, 0x48_0000, 0)],
    ...[u16(1), Buffer.alloc(32), u16(24, 0xffff)],
  )
  const stbl = box(
    'stbl',
    fullBox('stsd', u32(1), entry),
    fullBox('stts', u32(1, frames, 1)),
    fullBox('stsc', u32(1, 1, frames, 1)),
    fullBox('stsz', u32(1, frames)),
    fullBox('stco', u32(1, ftyp.length + 8)),
  )
  const dinf = box('dinf', fullBox('dref', u32(1), box('url ', u32(1))))
  const minf = box('minf', box('vmhd', u32(1, 0, 0)), dinf, stbl)
  const track = (id: number) => {
    const tkhd = box(
      'tkhd',
      u32(3, 0, 0, id, 0, frames, 0, 0, 0, 0),
      unity,
      u32(size * 65_536, size * 65_536),
    )
    const mdhd = fullBox('mdhd', u32(0, 0, 1_000, frames, 0))
    const hdlr = fullBox('hdlr', u32(0), Buffer.from('vide'), Buffer.alloc(13))
    return box('trak', tkhd, box('mdia', mdhd, hdlr, minf))
  }
  const mvhd = fullBox(
    'mvhd',
    u32(0, 0, 1_000, frames, 0x1_0000, 0x100_0000, 0, 0),
    unity,
    Buffer.alloc(24),
    u32(tracks + 1),
  )
  return Buffer.concat([
    ftyp,
    mdat,
    box('moov', mvhd, ...Array.from({ length: tracks }, (_, i) => track(i + 1))),
  ])
}

/** A PNG of a square picture so many pixels wide; `frames` makes it an animation of so many. */
export function claimingPng({ size, frames }: { size: number; frames?: number }): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data])
    return Buffer.concat([u32(data.length), body, u32(crc32(body))])
  }
  return Buffer.concat([
    Buffer.from('\u0089PNG\r\n\u001A\n', 'latin1'),
    chunk('IHDR', Buffer.concat([u32(size, size), Buffer.from([8, 2, 0, 0, 0])])),
    ...(frames === undefined ? [] : [chunk('acTL', u32(frames, 0))]),
    chunk('IDAT', deflateSync(Buffer.alloc(10 * (size * 3 + 1)))),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** A GIF of the largest picture there can be. */
export function claimingGif(): Buffer {
  const frame = Buffer.from('2c00000000ffffffff0002024c0100', 'hex')
  return Buffer.concat([
    Buffer.from('GIF89a'),
    Buffer.from('ffffffff800000000000ffffff', 'hex'),
    ...Array.from({ length: 100 }, () => frame),
    Buffer.from(';'),
  ])
}
