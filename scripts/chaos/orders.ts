import { join } from 'node:path'
import { makeClip } from '../../test/support/clips.ts'

/** A job that is asked for again and again, and how it must end, whatever else happens. */
export type Order = {
  name: string
  clip: string
  /** Without the source. */
  request: { model: string } & Record<string, unknown>
  ends: 'succeeded' | 'failed'
  /** The frame that its model can't score. */
  poison?: number
}

/** Where the poison clip is white. */
const poisonFrame = 53

const still = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '25']

/**
 * Renders the clips and answers what is asked of them. Frames are small and looks are cheap, so that there are many of them
 * and the cores are not all that is tested. `plain` orders are asked for all the time, `poison` ones when a storm says so.
 */
export async function prepareOrders(
  dir: string,
  wanted: (order: Order) => boolean = () => true,
): Promise<{ plain: Order[]; poison: Order[] }> {
  const ride = await makeClip({
    path: join(dir, 'ride.mp4'),
    ...{ frames: 250, fps: '25', size: '320x180', video: still },
  })
  const uneven = await makeClip({
    path: join(dir, 'uneven.mp4'),
    ...{ frames: 180, fps: '30000/1001', size: '256x144', video: still, soundDelay: 0.2 },
    // Two of five frames are left out: no two steps in time are alike for long.
    filter: 'select=gt(mod(n\\,5)\\,1)',
  })
  const film = await makeClip({
    path: join(dir, 'film.mkv'),
    ...{ frames: 288, fps: '24', size: '160x90', video: still },
  })
  const poisoned = await makeClip({
    path: join(dir, 'poisoned.mp4'),
    ...{ frames: 96, fps: '25', size: '160x90', video: still },
    filter: `drawbox=color=white:t=fill:enable=eq(n\\,${poisonFrame})`,
  })
  const plain = (name: string, clip: string, request: Order['request']): Order => ({
    ...{ name, clip, request, ends: 'succeeded' },
  })
  const poison = (model: string, onError: 'fail' | 'passthrough'): Order => ({
    name: `${model}, ${onError}`,
    clip: poisoned,
    request: { model, onError, batch: { frames: 32 } },
    ends: onError === 'fail' ? 'failed' : 'succeeded',
    poison: poisonFrame,
  })
  return {
    plain: [
      plain('ride, passed through', ride, { model: 'passthrough', batch: { frames: 25 } }),
      plain('uneven times, relief', uneven, { model: 'relief', batch: { frames: 30 } }),
      plain('film, cut as the plan likes', film, { model: 'passthrough' }),
      plain('ride, relief', ride, { model: 'relief', batch: { frames: 40 } }),
    ].filter(wanted),
    poison: [
      poison('deadly', 'passthrough'),
      poison('failing', 'fail'),
      poison('failing', 'passthrough'),
      poison('deadly', 'fail'),
    ].filter(wanted),
  }
}
