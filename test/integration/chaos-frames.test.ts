import { join } from 'node:path'
import { expect, test } from 'vitest'
import { countDifferences, referenceOf } from '../../scripts/chaos/frames.ts'
import { ffmpeg, makeClip } from '../support/clips.ts'
import { tempDir } from '../support/temp-dir.ts'
import { useServices } from '../support/use-services.ts'

const dir = tempDir()
const services = useServices()

// Every frame by itself: a change of one shows in no other.
const video = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p', '-g', '1']

test('a storm finds each frame that is another one, at another time, too many or missing, and nothing else', async () => {
  const media = await services.container()
  const put = async (id: string, path: string) => await media.uploadFile(`jobs/${id}/output.mp4`, path)
  const clip = async (name: string, frames: number, filter?: string) =>
    await makeClip({ path: join(dir, `${name}.mp4`), frames, video, filter })
  const plain = await clip('plain', 30)
  await put('plain', plain)
  const again = join(dir, 'again.mp4')
  // Other bytes, the same frames.
  await ffmpeg('-i', plain, '-map', '0:v', '-c', 'copy', again)
  await put('again', again)
  await put('marked', await clip('marked', 30, 'drawbox=x=60:w=8:h=8:color=white:t=fill:enable=eq(n\\,11)'))
  await put('late', await clip('late', 30, 'setpts=PTS+gte(N\\,28)'))
  await put('short', await clip('short', 27))

  const reference = await referenceOf({ media, dir }, 'plain')
  const differences = async (id: string) => await countDifferences({ media, dir }, id, reference)
  expect(await differences('plain')).toBe(0)
  expect(await differences('again')).toBe(0)
  expect(await differences('marked')).toBe(1)
  // The two, and the one before them, which is shown for longer.
  expect(await differences('late')).toBe(3)
  expect(await differences('short')).toBe(3)
})
