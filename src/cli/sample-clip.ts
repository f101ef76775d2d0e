import { runFfmpeg } from '../shared/media/ffmpeg.ts'

/**
 * Renders a clip to try the system on: drifting colours behind a slowly turning fractal, with a soft chord, in
 * 640x360 at 30 fps. Made by ffmpeg alone, so nobody has to have a video at hand.
 */
export async function renderSampleClip(path: string, seconds = 6): Promise<void> {
  const picture = [
    `mandelbrot=size=640x360:rate=30:start_scale=0.35:end_scale=0.012:end_pts=${seconds * 40}:start_x=-0.743643887:start_y=-0.131825904:inner=convergence:maxiter=1200`,
    "hue=h='20*t':s=1.25",
    'eq=contrast=1.08:brightness=0.03',
    'gblur=sigma=0.6',
    'format=yuv420p',
    `trim=duration=${seconds}`,
  ].join(',')
  const voices = [220, 277.18, 329.63, 440].map(
    (hz, i) => `0.12*sin(2*PI*${hz}*t)*(0.6+0.4*sin(2*PI*${0.2 + i / 10}*t))`,
  )
  const sound = `aevalsrc='${voices.join('+')}':s=48000:d=${seconds},afade=t=in:d=0.4,afade=t=out:st=${seconds - 0.6}:d=0.6`
  await runFfmpeg(
    [
      { path: picture, options: ['-f', 'lavfi'] },
      { path: sound, options: ['-f', 'lavfi'] },
    ],
    {
      path,
      options: [
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
        '-t',
        String(seconds),
      ],
    },
  )
}
