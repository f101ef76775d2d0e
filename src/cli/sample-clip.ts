import { join } from 'node:path'
import { drawOwn } from '../shared/image.ts'
import { runFfmpeg } from '../shared/media/ffmpeg.ts'

const width = 640
const height = 360
/** Layers are wider than the picture, for it to travel along them. */
const reach = 1_600

/**
 * Renders a clip to try the system on, so that nobody has to have a video at hand: a ride along mountains at dusk,
 * near layers passing faster than far ones, with a soft chord. 640x360, 30 fps. `dir` takes the layers.
 */
export async function renderSampleClip(path: string, dir: string, seconds = 6): Promise<void> {
  const layers = [
    { name: 'sky', svg: sky(), speed: 0 },
    { name: 'clouds', svg: clouds(), speed: 16 },
    { name: 'far', svg: ridge(7, 190, 70, '#8f7fa6', '#c79aa5'), speed: 30 },
    { name: 'middle', svg: ridge(23, 235, 60, '#4f4a78', '#8a5f7f'), speed: 58 },
    { name: 'near', svg: forest(41, 300), speed: 110 },
  ]
  for (const { name, svg } of layers) await drawOwn(svg, join(dir, `${name}.png`))
  const moves = layers.slice(1).map(({ speed }, i) => {
    const below = i === 0 ? '[0:v]' : `[l${i}]`
    return `${below}[${i + 1}:v]overlay=x='-${speed}*t-20':y='-6+3*sin(t*${(0.5 + i / 5).toFixed(1)})':eval=frame[l${i + 1}]`
  })
  const voices = [196, 246.94, 293.66, 392].map(
    (hz, i) => `0.12*sin(2*PI*${hz}*t)*(0.6+0.4*sin(2*PI*${(0.2 + i / 10).toFixed(1)}*t))`,
  )
  const sound = `aevalsrc='${voices.join('+')}':s=48000:d=${seconds},afade=t=in:d=0.4,afade=t=out:st=${seconds - 0.6}:d=0.6`
  const still = ['-f', 'image2', '-loop', '1', '-framerate', '30', '-t', String(seconds)]
  await runFfmpeg(
    [
      ...layers.map(({ name }) => ({ path: join(dir, `${name}.png`), options: still })),
      { path: sound, options: ['-f', 'lavfi'] },
    ],
    {
      path,
      options: [
        ...[
          '-filter_complex',
          `${moves.join(';')};[l4]format=yuv420p[v]`,
          '-map',
          '[v]',
          '-map',
          `${layers.length}:a`,
        ],
        ...[
          '-c:v',
          'libx264',
          '-preset',
          'veryfast',
          '-crf',
          '18',
          '-g',
          '60',
          '-c:a',
          'aac',
          '-b:a',
          '128k',
        ],
        ...['-t', String(seconds)],
      ],
    },
  )
}

const svg = (wide: number, body: string, high = height + 12) =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${wide}" height="${high}">${body}</svg>`

function sky(): string {
  const stops = ['#20284f', '#4b4a86', '#b0628a', '#f08a5d', '#ffd08a'].map(
    (colour, i) => `<stop offset="${i * 22}%" stop-color="${colour}"/>`,
  )
  return svg(
    width,
    `<defs><linearGradient id="s" x2="0" y2="1">${stops.join('')}</linearGradient>
    <radialGradient id="g"><stop offset="0" stop-color="#fff4d0"/><stop offset=".25" stop-color="#ffd995"/><stop offset="1" stop-color="#ff9a62" stop-opacity="0"/></radialGradient></defs>
    <rect width="${width}" height="${height}" fill="url(#s)"/><circle cx="430" cy="185" r="150" fill="url(#g)" opacity=".8"/>
    <circle cx="430" cy="185" r="34" fill="#fff1c9"/>`,
    height,
  )
}

/** Turbulence stretched sideways, cut by a threshold: banks of cloud. */
function clouds(): string {
  return svg(
    reach,
    `<filter id="c" x="0" y="0" width="100%" height="100%"><feTurbulence type="fractalNoise" baseFrequency=".004 .016" numOctaves="5" seed="11"/>
    <feColorMatrix values="0 0 0 0 1  0 0 0 0 .78  0 0 0 0 .72  2.6 0 0 0 -1.15"/></filter>
    <rect width="${reach}" height="210" filter="url(#c)" opacity=".85"/>`,
  )
}

/** A mountain range: a jagged line, lit at the top, with the texture of rock. */
function ridge(seed: number, base: number, rise: number, dark: string, light: string): string {
  const random = sequence(seed)
  const points: string[] = []
  for (let x = 0; x <= reach; x += 16) {
    const hills = Math.sin(x / 97 + seed) * 0.5 + Math.sin(x / 41 + seed * 2) * 0.3 + (random() - 0.5) * 0.5
    points.push(`${x},${Math.round(base - hills * rise)}`)
  }
  const shape = `M0,${height + 12} L${points.join(' L')} L${reach},${height + 12} Z`
  return svg(
    reach,
    `<defs><linearGradient id="m" x2="0" y2="1"><stop offset="0" stop-color="${light}"/><stop offset=".6" stop-color="${dark}"/></linearGradient>
    <filter id="r" x="0" y="0" width="100%" height="100%"><feTurbulence type="turbulence" baseFrequency=".03 .05" numOctaves="4" seed="${seed}"/>
    <feColorMatrix values="0 0 0 0 0  0 0 0 0 0  0 0 0 0 0  .9 0 0 0 -.1"/><feComposite in2="SourceGraphic" operator="in"/></filter></defs>
    <path d="${shape}" fill="url(#m)"/><path d="${shape}" filter="url(#r)" opacity=".55"/>`,
  )
}

function forest(seed: number, base: number): string {
  const random = sequence(seed)
  const ground = (x: number) => base - 18 * Math.sin(x / 150) - 8 * Math.sin(x / 47)
  const line = Array.from({ length: reach / 20 + 1 }, (_, i) => `${i * 20},${Math.round(ground(i * 20))}`)
  const trees = Array.from({ length: 120 }, () => {
    const x = random() * reach
    const tall = 26 + random() * 60
    const tiers = [0, 1, 2, 3].map((tier) => {
      const top = ground(x) - tall + (tier * tall) / 5
      const half = (tall / 16) * (tier + 1.4)
      return `<path d="M${x},${top} l${half},${tall / 3} h${-2 * half} Z"/>`
    })
    return `<g fill="hsl(${165 + random() * 50},30%,${10 + random() * 10}%)">${tiers.join('')}</g>`
  })
  return svg(
    reach,
    `${trees.join('')}<path d="M0,${height + 12} L${line.join(' L')} L${reach},${height + 12} Z" fill="#141a26"/>`,
  )
}

/** Numbers from 0 to 1, the same ones each time: the sample is the same for everybody. */
function sequence(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    return state / 2_147_483_648
  }
}
