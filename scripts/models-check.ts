// Measures the trained networks in models/, holds them to what is promised of them, and shows what they do: prints one
// table, and writes samples.jpg for each. Exit code 1: a promise is broken. 2: used wrongly.
//   npm run models:check -- [--photographs FOLDER] [--compare NAME=MODEL.onnx[:PAINTING]]... [--out FOLDER] [--json]
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { inspectModel } from '../src/shared/models/inspect.ts'
import { countMultiplyAdds } from './models-check/multiply-adds.ts'
import { framesPerSecond, openNetwork, threads } from './models-check/network.ts'
import { countParameters } from './models-check/parameters.ts'
import { type Picture, readPicture } from './models-check/pictures.ts'
import { brokenPromises, type Figures } from './models-check/promises.ts'
import { formatTable, roundFigures } from './models-check/report.ts'
import { writeSheet } from './models-check/sample-sheet.ts'
import { frame, measureSteadiness, noiseSigma, withRoom } from './models-check/steadiness.ts'
import {
  ablationOf,
  type Comparison,
  comparedSubject,
  parseComparison,
  shippedSubjects,
  type Subject,
  UsageError,
} from './models-check/subjects.ts'

type Options = { photographs: string; compare: Comparison[]; out?: string; json: boolean }
type Photographs = { paths: string[]; wide: Picture[] }

const models = fileURLToPath(new URL('../models/', import.meta.url))

const program = new Command('models:check')
  .description('Measures the trained networks in models/ and writes what they make of photographs.')
  .option('--photographs <folder>', 'photographs to measure and show', join(models, 'photographs'))
  .option(
    '--compare <name=model.onnx[:painting]>',
    'another network, from and to float32 NCHW with RGB in 0..1; may be repeated',
    parseComparison,
    [],
  )
  .option('--out <folder>', 'where the sheets go, those of compared networks too, instead of into models/')
  .option('--json', 'one JSON object on standard output, nothing else', false)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))

async function readPhotographs(folder: string): Promise<Photographs> {
  const names = await readdir(folder).catch(() => {
    throw new UsageError(`There is no folder ${folder} with photographs.`)
  })
  const paths = names
    .filter((name) => /\.(jpe?g|png|webp)$/i.test(name))
    .toSorted()
    .map((name) => join(folder, name))
  if (paths.length === 0) throw new UsageError(`There is no photograph (.jpg, .png, .webp) in ${folder}.`)
  const wide = []
  for (const path of paths) {
    const picture = readPicture(path, withRoom).catch((error: unknown) => {
      throw new UsageError(`The photograph ${path} can't be read: ${(error as Error).message}.`)
    })
    wide.push(await picture)
  }
  return { paths, wide }
}

function sheetFor({ name, role }: Subject, out: string | undefined): string | undefined {
  if (out !== undefined) return join(out, `${name}.jpg`)
  return role === 'shipped' ? join(models, name, 'samples.jpg') : undefined
}

async function measure(subject: Subject, { paths, wide }: Photographs, sheet?: string): Promise<Figures> {
  process.stderr.write(`models:check: measuring ${subject.name} ...\n`)
  const network = await openNetwork(subject)
  try {
    const picture = await readPicture(paths[0] ?? '', frame)
    const multiplyAdds = await countMultiplyAdds(subject.bytes, network.feeds(picture))
    const figures = {
      parameters: countParameters(subject.bytes),
      mflopPerPixel: (2e-6 * multiplyAdds) / (frame.width * frame.height),
      bytes: subject.bytes.length,
      opset: inspectModel(subject.bytes).opset,
      fps: await framesPerSecond(subject, picture),
      ...(await measureSteadiness(network.run, wide)),
    }
    if (sheet) await writeSheet(sheet, network.run, paths)
    return figures
  } finally {
    await network.close()
  }
}

async function main({ photographs: folder, compare, out, json }: Options): Promise<number> {
  const photographs = await readPhotographs(folder)
  const compared = []
  for (const comparison of compare) compared.push(await comparedSubject(comparison))
  const shipped = await shippedSubjects()
  const ablations = await Promise.all(shipped.map(ablationOf))
  const subjects = [...shipped, ...ablations, ...compared]
  const twice = subjects.find(({ name }, i) => subjects.findIndex((other) => other.name === name) < i)
  if (twice) throw new UsageError(`There are two networks called ${twice.name}: give --compare another name.`)
  if (out !== undefined) {
    await mkdir(out, { recursive: true }).catch((error: unknown) => {
      throw new UsageError(`The sheets can't go to ${out}: ${(error as Error).message}.`)
    })
  }

  const rows: (Subject & { sheet?: string; figures: Figures })[] = []
  for (const subject of subjects) {
    const sheet = sheetFor(subject, out)
    rows.push({ ...subject, sheet, figures: await measure(subject, photographs, sheet) })
  }
  const judged = rows.map((row) => ({
    ...row,
    ablation: rows.find(({ name }) => name === `${row.name}-without`)?.figures,
  }))
  const broken = judged.flatMap((row) => (row.ablation ? brokenPromises(row, row.figures, row.ablation) : []))

  if (json) {
    const networks = judged.map(({ name, role, manifest, figures, ablation, sheet }) => ({
      name,
      role,
      ...(role === 'shipped' && { version: manifest.version }),
      ...roundFigures(figures, ablation),
      sheet: sheet ?? null,
    }))
    const report = { photographs: photographs.paths, frame, noiseSigma, threads, networks, broken }
    process.stdout.write(`${JSON.stringify(report)}\n`)
  } else {
    const { width, height } = frame
    console.log(
      `photographs: ${photographs.paths.length}, at ${width}x${height}; fps: the model alone, ${threads} threads`,
    )
    console.log(formatTable(judged))
    console.log(
      `written: ${out === undefined ? 'samples.jpg of each shipped network' : `a sheet for each network in ${out}`}`,
    )
    if (broken.length === 0) console.log('every shipped network keeps what is promised of it')
  }
  for (const sentence of broken) process.stderr.write(`models:check: ${sentence}\n`)
  return broken.length === 0 ? 0 : 1
}

program.parse()
process.exitCode = await main(program.opts<Options>()).catch((error: unknown) => {
  process.stderr.write(`models:check: ${(error as Error).message}\n`)
  return error instanceof UsageError ? 2 : 1
})
