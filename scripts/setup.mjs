#!/usr/bin/env node
// Makes this checkout ready, then runs a program with the Node version the lock file pins.
// No dependencies and plain JavaScript: it has to run before anything is installed, on Node 20 or later.
//   node scripts/setup.mjs                      set up only
//   node scripts/setup.mjs run FILE [ARGS...]   set up, then run FILE
// Everything it says goes to standard error, so that a program's --json output stays clean.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamp = join(root, 'node_modules', '.framefleet-lock')
const say = (line) => process.stderr.write(`setup: ${line}\n`)

function onPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function runQuietly(command, args, env = {}) {
  const done = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  })
  if (done.status === 0) return
  const tail = `${done.stdout ?? ''}${done.stderr ?? ''}${done.error?.message ?? ''}`.trim().slice(-2000)
  throw new Error(`\`${[command, ...args].join(' ')}\` failed:\n${tail}`)
}

function installPackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  say('installing the npm dependencies of package-lock.json ...')
  // No package here needs its install script: the native ones ship their binaries in the registry, and what the one of
  // ONNX Runtime would fetch is for GPUs alone: their image has it from elsewhere, by its hash.
  // `npm ci` refuses a lock file that lacks optional packages of other platforms, which a registry mirror may not
  // carry; `install --no-save` takes the locked versions all the same and leaves the lock file as it is.
  runQuietly('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'])
  writeFileSync(stamp, lock)
}

// Programs we start, and the package that carries each under every package manager we know.
const programs = { ffmpeg: 'ffmpeg', ffprobe: 'ffmpeg', 'redis-server': 'redis' }
// What only the tests start: whoever wants a video scored waits for none of it.
const testPrograms = {
  shellcheck: 'shellcheck',
  chromium: 'chromium',
  openssl: 'openssl',
  jq: 'jq',
  promtool: 'prometheus',
}
const managers = [
  {
    bin: 'apt-get',
    names: { redis: 'redis-server' },
    refresh: ['update', '-q'],
    install: ['install', '-y', '-q', '--no-install-recommends'],
    root: true,
  },
  {
    bin: 'dnf',
    names: { shellcheck: 'ShellCheck', prometheus: 'golang-github-prometheus' },
    install: ['install', '-y', '-q'],
    root: true,
  },
  { bin: 'apk', names: {}, install: ['add', '--no-cache'], root: true },
  { bin: 'brew', names: {}, install: ['install'], root: false },
]

function installPrograms(programs) {
  const missing = Object.keys(programs).filter((program) => !onPath(program))
  if (missing.length === 0) return
  const manager = managers.find(({ bin }) => onPath(bin))
  if (!manager)
    throw new Error(`please install ${missing.join(', ')} with this system's package manager, then try again`)
  const packages = [
    ...new Set(missing.map((program) => manager.names[programs[program]] ?? programs[program])),
  ]
  const isRoot = process.getuid?.() === 0
  const maySudo =
    !isRoot && onPath('sudo') && spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0
  const prefix = manager.root && !isRoot ? ['sudo'] : []
  const steps = [manager.refresh, [...manager.install, ...packages]]
    .filter(Boolean)
    .map((args) => [...prefix, manager.bin, ...args])
  if (manager.root && !isRoot && !maySudo) {
    throw new Error(
      `${missing.join(', ')} missing, and installing needs rights this user does not have. Run:\n  ` +
        steps.map((step) => step.join(' ')).join(' && '),
    )
  }
  say(`installing ${packages.join(', ')} with ${manager.bin} ...`)
  for (const [command, ...args] of steps) runQuietly(command, args, { DEBIAN_FRONTEND: 'noninteractive' })
}

/** The Node that the lock file pins; where its package has no build for this machine, the one that runs us. */
function pinnedNode() {
  const pinned = join(root, 'node_modules', '.bin', 'node')
  if (existsSync(pinned)) return pinned
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  throw new Error(`Node 24 or later is needed here; this is ${process.version}`)
}

/** Runs the program in our place: its exit code is ours, and the signals we get are passed on. */
function become(file, args) {
  const node = pinnedNode()
  const env = {
    ...process.env,
    PATH: `${join(root, 'node_modules', '.bin')}${delimiter}${process.env.PATH ?? ''}`,
  }
  const child = spawn(node, [file, ...args], { stdio: 'inherit', env })
  // A terminal sends Ctrl-C to the child as well; we only have to outlive it to report its exit code.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('exit', (code, signal) =>
    process.exit(signal ? 128 + (signal === 'SIGINT' ? 2 : 15) : (code ?? 1)),
  )
  child.on('error', (error) => {
    say(error.message)
    process.exit(1)
  })
}

const [verb, file, ...args] = process.argv.slice(2)
try {
  installPackages()
  installPrograms(file?.endsWith('vitest.mjs') ? { ...programs, ...testPrograms } : programs)
} catch (error) {
  say(error.message)
  process.exit(1)
}
if (verb === 'run') become(file, args)
