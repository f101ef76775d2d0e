import { rm } from 'node:fs/promises'
import { loopClip } from './clip.ts'
import { type ModelChoice, startSystem } from './system.ts'

export type GrowthPoint = { frames: number; seconds: number; peak_rss_mb: number }

type GrowthJob = { clip: string; warmUp: string; model: ModelChoice; workers: number; signal: AbortSignal }

/**
 * The same clip once, 4 times and 16 times over, each with a fresh, warmed system: seconds from the request to the
 * output, and the most memory that any one process of ours ever had.
 */
export async function measureGrowth(
  { clip, warmUp, model, workers, signal }: GrowthJob,
  say: (line: string) => void,
): Promise<GrowthPoint[]> {
  const points: GrowthPoint[] = []
  for (const times of [1, 4, 16]) {
    const path = `${clip}.x${times}.mp4`
    await loopClip(clip, times, path)
    const system = await startSystem(model, workers, signal)
    let frames = 0
    let seconds = 0
    let peaks: Record<string, number> = {}
    try {
      await system.warm(warmUp)
      ;({ frames, seconds } = await system.score(path))
    } finally {
      peaks = await system.stop()
    }
    await rm(path)
    // Redis and Azurite stand in for services that are not ours.
    const ours = Object.entries(peaks).filter(([role]) => !['redis', 'azurite'].includes(role))
    points.push({ frames, seconds, peak_rss_mb: Math.round(Math.max(...ours.map(([, mb]) => mb))) })
    say(`${times}x: ${frames} frames in ${seconds.toFixed(1)} s`)
  }
  return points
}
