import { execFileSync } from 'node:child_process'
import { copyFile, cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const tsc = join(root, 'node_modules/.bin/tsc')

/** A project in `dir` that has installed this package: as it is built, with what it depends on, and nothing else. */
export async function installPackage(dir: string): Promise<void> {
  const installed = join(dir, 'node_modules/framefleet')
  await mkdir(join(dir, 'node_modules/@types'), { recursive: true })
  await mkdir(installed)
  await copyFile(join(root, 'package.json'), join(installed, 'package.json'))
  await symlink(join(root, 'node_modules'), join(installed, 'node_modules'))
  await symlink(join(root, 'node_modules/@types/node'), join(dir, 'node_modules/@types/node'))
  await cp(join(root, 'bin'), join(installed, 'bin'), { recursive: true })
  // As `npm run build` does: all of it, then the types of the client.
  for (const [name, include] of [
    ['build', 'src'],
    ['client', 'src/client'],
  ] as const) {
    const build = {
      extends: join(root, `tsconfig.${name}.json`),
      compilerOptions: {
        ...{ rootDir: join(root, 'src'), outDir: join(installed, 'dist') },
        typeRoots: [join(root, 'node_modules/@types')],
      },
      include: [join(root, include)],
    }
    const file = join(dir, `${name}.json`)
    await writeFile(file, JSON.stringify(build))
    execFileSync(tsc, ['-p', file], { stdio: 'inherit' })
  }
  await writeFile(join(dir, 'package.json'), '{"type":"module"}')
  const options = { module: 'nodenext', strict: true, noEmit: true, types: ['node'], target: 'es2024' }
  await writeFile(join(dir, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.ts'] }))
}

/** Throws with what the compiler says of the project's files. */
export function checkTypes(dir: string): void {
  execFileSync(tsc, ['-p', dir], { encoding: 'utf8' })
}
