import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ValidationSeverity, validate } from 'dockerfile-utils'
import { describe, expect, test } from 'vitest'
import {
  copyStep,
  dockerfile,
  imageEnv,
  instructionsOf,
  lastOf,
  lineage,
  readStages,
  root,
} from '../support/dockerfile.ts'
import { sentFiles } from '../support/image-files.ts'
import { tempDir } from '../support/temp-dir.ts'

const stages = readStages()
const images = ['framefleet', 'framefleet-worker', 'framefleet-worker-cuda']
const linesOf = (keyword: string) =>
  stages.flatMap(({ instructions }) => instructions).filter((each) => each.getKeyword() === keyword)

test('a builder can read the Dockerfile', () => {
  const found = validate(dockerfile, { deprecatedMaintainer: ValidationSeverity.ERROR })
  expect(found.map(({ message, range }) => ({ line: range.start.line + 1, message }))).toEqual([])
})

test('a base is an argument, to be given by its digest, and is never the latest', () => {
  const names = stages.map(({ name }) => name)
  const bases = stages.map(({ from }) => from).filter((from) => !names.includes(from))
  expect([...new Set(bases)]).toEqual(['${NODE_IMAGE}'])
  expect(/^ARG NODE_IMAGE=(.*)$/m.exec(dockerfile)?.[1]).toMatch(/^node:\d+-bookworm-slim$/)
})

test('nothing that is secret is an argument or stays in the environment', () => {
  const said = [...linesOf('ARG'), ...linesOf('ENV')].map((each) => each.getArgumentsContent() ?? '')
  expect(said.length).toBeGreaterThan(3)
  for (const each of said) expect(each).not.toMatch(/TOKEN|PASSWORD|SECRET|KEY|CONNECTION|ACCOUNT/i)
})

test('packages of Debian are of the versions that were tried, and their lists do not stay', () => {
  const runs = linesOf('RUN').map((each) => each.getArgumentsContent() ?? '')
  const installs = runs.filter((run) => run.includes('apt-get install'))
  expect(installs.length).toBeGreaterThan(0)
  for (const run of installs) {
    const packages = /--no-install-recommends ([^&]*)/.exec(run)?.[1]?.trim().split(/\s+/) ?? []
    for (const each of packages) expect(each).toMatch(/^'[a-z0-9-]+=[^']+'$/)
    expect(run).toContain('rm -rf /var/lib/apt/lists/*')
  }
})

test('packages run no script when they are installed', () => {
  const runs = linesOf('RUN').map((each) => each.getArgumentsContent() ?? '')
  for (const run of runs.filter((each) => each.includes('npm install'))) {
    expect(run).toContain('npm install --no-save --ignore-scripts ')
  }
})

test('nothing needs more than the oldest builder can', () => {
  expect(dockerfile).not.toMatch(/^# syntax|--mount=|<<|--chmod|--link/m)
})

describe.each(images)('%s', (image) => {
  test('does not run as root', () => {
    expect(lastOf(image, 'USER')).toBe('10001:10001')
  })

  test('says whether it is well, hands signals on and buries what lost its parent', () => {
    expect(lastOf(image, 'HEALTHCHECK')).toBe('CMD ["node", "health.mjs"]')
    expect(JSON.parse(lastOf(image, 'ENTRYPOINT'))).toEqual(['tini', '-s', '--'])
    expect(lastOf(image, 'STOPSIGNAL')).toBe('SIGTERM')
  })

  test('says what it is', () => {
    const labels = instructionsOf(image, 'LABEL').map((each) => each.getArgumentsContent())
    expect(labels.at(-1)).toContain(`org.opencontainers.image.title="${image}"`)
    for (const name of ['description', 'licenses', 'version', 'revision'])
      expect(labels.join('\n')).toContain(`org.opencontainers.image.${name}=`)
  })

  test('has what runs and nothing that made it', () => {
    const copied = instructionsOf(image, 'COPY').map(copyStep)
    expect(copied.map(({ to }) => to)).not.toContain('src')
    // Not the folder of a stage as a whole, with its compiler in it.
    for (const { from, sources } of copied) expect({ from, sources }).not.toMatchObject({ sources: ['.'] })
    expect(copied.some(({ to }) => to === '/usr/share/doc/framefleet/sbom.cdx.json')).toBe(true)
  })

  test('keeps what it writes where a volume can be', () => {
    const env = imageEnv(image)
    expect(env).toMatchObject({
      NODE_ENV: 'production',
      FRAMEFLEET_CACHE_DIR: '/work/cache',
      FRAMEFLEET_SCRATCH_DIR: '/work/scratch',
    })
    expect(lastOf(image, 'VOLUME')).toBe('/work')
  })
})

test('all have one and the same ffmpeg, since a batch must come out alike anywhere', () => {
  for (const image of images) expect(lineage(image)[0]?.name).toBe('framefleet')
})

test('the builder is sent what is copied, and no more', () => {
  const copied = linesOf('COPY')
    .map(copyStep)
    .filter(({ from }) => from === undefined)
  const wanted = new Set(copied.flatMap(({ sources }) => sources).flatMap(sentFiles))
  for (const { sources } of copied)
    for (const source of sources)
      expect({ source, files: sentFiles(source).length }).not.toMatchObject({ files: 0 })
  // Seen from the top, but for what is large and ours: nothing else gets through.
  const top = ['*', '.*', 'deploy', 'docs', 'test', 'scripts', 'bench', 'models'].flatMap(sentFiles)
  expect([...new Set(top)].filter((file) => !wanted.has(file))).toEqual([])
  expect(
    [...wanted].filter((file) => /\.env|secret|(^|\/)\.|node_modules|train|photographs/.test(file)),
  ).toEqual([])
})

test('what is asked for the health of something else says so', () => {
  const env = { PATH: process.env['PATH'] }
  const health = (...args: string[]) => {
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'deploy/image/health.mjs'), ...args], {
      encoding: 'utf8',
      env,
    })
    return { status, said: stderr.trim() }
  }
  expect(health('clerk')).toEqual({ status: 1, said: 'no role runs here: "clerk"' })
  // Process 1 of this machine is none of ours.
  expect(health()).toEqual({ status: 1, said: 'no role runs here: ""' })
})

describe('an image by its digest', () => {
  const digest = `sha256:${'0123456789abcdef'.repeat(4)}`
  const dir = tempDir()
  /** With a docker that answers so, and writes down what it is asked. */
  const ask = (image: string, says: string) => {
    writeFileSync(join(dir, 'docker'), `#!/bin/sh\necho "$*" > ${dir}/asked\necho ${says}\n`, { mode: 0o755 })
    const { status, stdout, stderr } = spawnSync(join(root, 'deploy/image/digest.sh'), [image], {
      encoding: 'utf8',
      env: { PATH: `${dir}:/usr/bin:/bin` },
    })
    return { status, said: stdout.trim(), complaint: stderr.trim() }
  }

  test.each([
    ['node:26-bookworm-slim', 'node'],
    ['registry.example:5000/base/node:26', 'registry.example:5000/base/node'],
    ['registry.example:5000/node', 'registry.example:5000/node'],
  ])('of %s', (image, name) => {
    expect(ask(image, digest)).toEqual({ status: 0, said: `${name}@${digest}`, complaint: '' })
    expect(readFileSync(join(dir, 'asked'), 'utf8')).toContain(image)
  })

  test('is not made up where the registry names none', () => {
    expect(ask('node:26', 'manifest')).toMatchObject({
      status: 1,
      said: '',
      complaint: 'framefleet: the registry names no digest of node:26: manifest',
    })
  })
})

describe('what a GPU needs', () => {
  const lines = readFileSync(join(root, 'deploy/image/cuda-requirements.txt'), 'utf8')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'))

  test('is known by its hash', () => {
    for (const line of lines) expect(line).toMatch(/^[a-z0-9-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}$/)
  })

  test('is of the version of the runtime that it is put beside', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version?: string }>
    }
    const version = lock.packages['node_modules/onnxruntime-node']?.version
    expect(lines.find((line) => line.startsWith('onnxruntime-gpu=='))).toMatch(`onnxruntime-gpu==${version} `)
  })
})
