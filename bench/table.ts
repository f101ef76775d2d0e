import type { Results } from './results.ts'

/** The results as Markdown, for people. */
export function describeResults(results: Results): string {
  const { model, clip, machine, device, rounds, workers, growth, peers } = results
  const share = (fps: number, of: number) => (fps / of).toFixed(2)
  const cold = results.system_cold_fps
  const seconds = (fps: number) => (clip.frames / fps).toFixed(2)
  const speed = (name: string, fps: number) => [
    name,
    fps.toFixed(2),
    seconds(fps),
    share(fps, results.model_fps),
    share(fps, results.bound_fps),
  ]
  const parts = [
    `# ${model}, ${clip.width}x${clip.height}`,
    `${clip.frames} frames (${clip.seconds} s at ${clip.fps} fps, with ${workers} workers), medians of ${rounds} rounds, on ${machine.cores} cores of ${machine.cpu}, ${machine.memory_gb} GB; Node ${machine.node}, ffmpeg ${machine.ffmpeg}, ONNX Runtime ${machine.onnxruntime} on ${device}.`,
    grid(
      ['', 'frames/s', 'seconds', 'of model', 'of bound'],
      [
        speed('model alone', results.model_fps),
        speed('model, side by side', results.model_lanes_fps),
        speed('bound', results.bound_fps),
        speed('engine', results.engine_fps),
        speed('system, warm', results.system_fps),
        ...(cold === null ? [] : [speed('system, cold', cold)]),
        speed('ffmpeg alone', results.ffmpeg_fps),
        ...Object.entries(peers).map(([name, time]) =>
          Number.isNaN(time) ? [name, 'failed'] : speed(name, clip.frames / time),
        ),
      ],
    ),
    grid(
      ['CPU, ms a frame', ''],
      [
        ...Object.entries(results.cpu_ms_per_frame).map(([name, ms]) => [`${name} alone`, ms.toFixed(2)]),
        ...Object.entries(results.engine_cpu_ms_per_frame).map(([name, ms]) => [
          name === 'own' ? 'engine: its own' : `engine: ${name}`,
          ms.toFixed(2),
        ]),
        ...Object.entries(results.system_cpu_ms_per_frame)
          .filter(([, ms]) => ms > 0)
          .map(([role, ms]) => [`system: ${role}`, ms.toFixed(2)]),
      ],
    ),
    grid(
      ['system, warm', ''],
      [
        ['seconds after the request', list(results.system_s)],
        ['stitch, ms', list(results.stitch_ms)],
        [`${results.batches} batches, ms in all`, list(results.batch_ms)],
        ['blob operations', `${list(results.blob_ops)} (${results.blob_ops_per_frame} a frame)`],
        ['bytes written a frame', String(results.bytes_written_per_frame)],
        ['peak memory, MB', list(results.peak_rss_mb)],
        ['output sha256', results.output_sha256 ?? 'NOT ALWAYS THE SAME'],
      ],
    ),
    ...(growth.length === 0
      ? []
      : [
          grid(
            ['frames', 'seconds', 'times the first', 'largest process, MB'],
            growth.map((point) => [
              String(point.frames),
              point.seconds.toFixed(2),
              (point.seconds / (growth[0]?.seconds ?? 1)).toFixed(2),
              String(point.peak_rss_mb),
            ]),
          ),
        ]),
  ]
  return `${parts.join('\n\n')}\n`
}

const list = (record: Record<string, number>) =>
  Object.entries(record)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')

export function grid(head: string[], rows: string[][]): string {
  const widths = head.map((cell, column) =>
    Math.max(3, cell.length, ...rows.map((row) => (row[column] ?? '').length)),
  )
  const line = (cells: string[]) =>
    `| ${widths.map((width, i) => (cells[i] ?? '').padEnd(width)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}
