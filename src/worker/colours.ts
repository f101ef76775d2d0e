import type { Plan } from '../shared/job.ts'

type Colour = Plan['video']['colour']

/** swscale's name of the matrix between YUV and RGB that a colour space tag stands for; unknown is left to its default. */
const matrices: Record<string, string> = {
  bt709: 'bt709',
  bt470bg: 'bt601',
  smpte170m: 'bt601',
  fcc: 'fcc',
  smpte240m: 'smpte240m',
  bt2020nc: 'bt2020',
  bt2020c: 'bt2020',
}

/**
 * How pixels are converted. Without these two flags swscale takes shortcuts that darken a picture by one or two levels;
 * with them a picture goes to RGB and back unchanged.
 */
export const conversion = 'flags=bilinear+accurate_rnd+full_chroma_int'

const matrixOf = ({ space }: Colour) => (space === null ? undefined : matrices[space])
const rangeOf = ({ range }: Colour) => (range === 'pc' ? 'pc' : 'tv')

/** Options of the scale filter that turn the source's YUV into RGB: the same matrix both ways, so nothing shifts. */
export function toRgb(colour: Colour): string[] {
  const matrix = matrixOf(colour)
  return [...(matrix ? [`in_color_matrix=${matrix}`] : []), `in_range=${rangeOf(colour)}`]
}

export function fromRgb(colour: Colour): string[] {
  const matrix = matrixOf(colour)
  return [...(matrix ? [`out_color_matrix=${matrix}`] : []), `out_range=${rangeOf(colour)}`]
}

/** The tags of the source, for the filter and the encoder: a raw pipe forgets them. */
export function colourTags({ range, space, transfer, primaries }: Colour): {
  filter: string
  options: string[]
} {
  const tags = [
    ['range', '-color_range', range ?? 'tv'],
    ['colorspace', '-colorspace', space],
    ['color_trc', '-color_trc', transfer],
    ['color_primaries', '-color_primaries', primaries],
  ] as const
  const set = tags.filter((tag): tag is (typeof tags)[number] & { 2: string } => tag[2] !== null)
  return {
    filter: `setparams=${set.map(([name, , value]) => `${name}=${value}`).join(':')}`,
    options: set.flatMap(([, option, value]) => [option, value]),
  }
}
