import { spawnSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import dockerignore from '@balena/dockerignore'
import { type Stage, copyStep, lineage, root } from './dockerfile.ts'

const ignored = dockerignore.default().add(readFileSync(join(root, '.dockerignore'), 'utf8').split('\n'))

/** Files of the checkout that the builder is sent, of a path that an instruction copies. */
export function sentFiles(path: string): string[] {
  const found = globSync([path, `${path}/**`], { cwd: root, withFileTypes: true }).filter((each) =>
    each.isFile(),
  )
  const files = found.map((each) => posix.relative(root, posix.join(each.parentPath, each.name)))
  return [...new Set(files)].filter((file) => !ignored.ignores(file))
}

/**
 * Does what the Dockerfile does for a stage, in a folder that stands for the root of its file system: copies what it copies,
 * compiles what it compiles. What needs the network is not done again: programs are those of this machine, packages those of
 * the checkout. Throws where a step is of neither kind, or copies what there is not.
 */
export function layOut(image: string, dir: string): string {
  const rootOf = (name: string) => join(dir, name)
  const own = rootOf(image)
  for (const stage of lineage(image)) {
    let cwd = '/'
    for (const step of stage.instructions) {
      const what = step.getArgumentsContent() ?? ''
      if (step.getKeyword() === 'WORKDIR') mkdirSync(join(own, (cwd = what)), { recursive: true })
      if (step.getKeyword() === 'RUN') runStep(stage, what, join(own, cwd))
      if (step.getKeyword() !== 'COPY') continue
      const { from, sources, to } = copyStep(step)
      // Papers of the system, where the roles don't look.
      if (to.startsWith('/usr/')) continue
      if (from !== undefined) layOut(from, dir)
      for (const source of sources) {
        const target = to === './' || to.endsWith('/') ? posix.join(to, posix.basename(source)) : to
        if (from !== undefined) copyTree(join(rootOf(from), source), join(own, posix.resolve(cwd, target)))
        else copySent(source, join(own, posix.resolve(cwd, target)))
      }
    }
    // A stage made from this one goes on where it ended.
    mkdirSync(join(own, cwd), { recursive: true })
  }
  return own
}

function runStep({ name }: Stage, command: string, cwd: string): void {
  if (command.startsWith('apt-get ')) return
  if (command.includes('npm install '))
    return symlinkSync(join(root, 'node_modules'), join(cwd, 'node_modules'))
  if (command !== 'npm run build') throw new Error(`stage ${name} runs what is not known here: ${command}`)
  const { status, stdout, stderr } = spawnSync('npm', ['run', 'build'], { cwd, encoding: 'utf8' })
  if (status !== 0) throw new Error(`what was sent to the builder does not compile:\n${stdout}${stderr}`)
}

function copyTree(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true })
  cpSync(from, to, { recursive: true, verbatimSymlinks: true })
}

function copySent(source: string, to: string): void {
  const files = sentFiles(source)
  if (files.length === 0) throw new Error(`nothing of ${source} is sent to the builder`)
  for (const file of files) copyTree(join(root, file), join(to, posix.relative(source, file)))
}
