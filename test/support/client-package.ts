import { execFileSync } from 'node:child_process'
import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const tsc = join(root, 'node_modules/.bin/tsc')

/** A project in `dir` that has installed this package: as it is built, with what it depends on, and nothing else. */
export async function installClient(dir: string): Promise<void> {
  const installed = join(dir, 'node_modules/framefleet')
  await mkdir(join(dir, 'node_modules/@types'), { recursive: true })
  await mkdir(installed)
  await copyFile(join(root, 'package.json'), join(installed, 'package.json'))
  await symlink(join(root, 'node_modules'), join(installed, 'node_modules'))
  await symlink(join(root, 'node_modules/@types/node'), join(dir, 'node_modules/@types/node'))
  const build = {
    extends: join(root, 'tsconfig.client.json'),
    compilerOptions: { rootDir: join(root, 'src'), outDir: join(installed, 'dist') },
    include: [join(root, 'src/client')],
  }
  await writeFile(
    join(dir, 'build.json'),
    JSON.stringify({
      ...build,
      compilerOptions: { ...build.compilerOptions, typeRoots: [join(root, 'node_modules/@types')] },
    }),
  )
  execFileSync(tsc, ['-p', join(dir, 'build.json')], { stdio: 'inherit' })
  await writeFile(join(dir, 'package.json'), '{"type":"module"}')
  const options = { module: 'nodenext', strict: true, noEmit: true, types: ['node'], target: 'es2024' }
  await writeFile(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }))
}

/** Throws with what the compiler says of the project's files. */
export function checkTypes(dir: string): void {
  execFileSync(tsc, ['-p', dir], { encoding: 'utf8' })
}
