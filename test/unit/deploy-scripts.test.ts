import { spawnSync } from 'node:child_process'
import { chmodSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { everyRole } from '../../src/producer/api-role.ts'
import { workerSettings } from '../../src/worker/config.ts'
import { deployDir } from '../support/deployment.ts'
import { tempDir } from '../support/temp-dir.ts'

const dir = tempDir()
const scripts = globSync('**/*.sh', { cwd: deployDir })
const textOf = (file: string) => readFileSync(join(deployDir, file), 'utf8')
let count = 0

/**
 * Runs a script of ours with programs that are not here, or not to be touched, in place of its own: bash lines, one program
 * each. They write down what they are called with.
 */
function run(
  script: string,
  {
    programs = {},
    env = {},
    args = ['1'],
  }: { programs?: Record<string, string>; env?: Record<string, string>; args?: string[] },
) {
  const home = join(dir, String(++count))
  mkdirSync(join(home, 'bin'), { recursive: true })
  writeFileSync(join(home, 'calls'), '')
  writeFileSync(
    join(home, 'machine.env'),
    'CLIENT_ID=me\nGPUS=2\nIMAGE=reg.example/worker:1\nREGISTRY=reg.example\nRESOURCE_MANAGER=https://arm.example/\nOLDEST_DRIVER=580\n',
  )
  for (const [name, line] of Object.entries({ sleep: '', ...programs })) {
    const note = `printf '%s\\n' "${name} $*" >> '${home}/calls'`
    writeFileSync(join(home, 'bin', name), `#!/usr/bin/env bash\n${note}\n${line}\n`)
    chmodSync(join(home, 'bin', name), 0o755)
  }
  const source = textOf(script).replaceAll('/etc/framefleet/machine.env', join(home, 'machine.env'))
  writeFileSync(join(home, 'script'), source)
  // What reads no file of a machine is run where it lies, since it finds its neighbours by that.
  const path = source === textOf(script) ? join(deployDir, script) : join(home, 'script')
  const { status, stdout, stderr } = spawnSync('bash', [path, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...env, PATH: `${join(home, 'bin')}${delimiter}/usr/bin${delimiter}/bin` },
  })
  return { status, stdout, stderr, calls: readFileSync(join(home, 'calls'), 'utf8').trim().split('\n') }
}

test.each(scripts)('bash reads %s', (script) => {
  expect(spawnSync('bash', ['-n', join(deployDir, script)], { encoding: 'utf8' })).toMatchObject({
    status: 0,
    stderr: '',
  })
  expect(textOf(script)).toMatch(/^#!\/usr\/bin\/env bash\n# [\s\S]+\nset -euo pipefail\n/)
})

test('shellcheck has nothing to say', { timeout: 60_000 }, () => {
  const { status, stdout } = spawnSync(
    'shellcheck',
    scripts.map((script) => join(deployDir, script)),
    { encoding: 'utf8' },
  )
  expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
})

describe('a machine at its first start', () => {
  const programs = {
    'nvidia-smi': '[[ $1 == --query* ]] && echo 580.105.08 || { echo "GPU 0: T4"; echo "GPU 1: T4"; }',
    curl: 'cat > /dev/null; echo answer',
    jq: 'cat > /dev/null; [[ $2 == .access_token ]] && echo own-token || echo registry-token',
    docker: '[[ $1 != login ]] || [[ $(cat) == registry-token ]]',
    systemctl: '',
  }

  test('fetches its image and starts a worker for each GPU', () => {
    const { status, stderr, calls } = run('worker/prepare-machine.sh', { programs })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(calls.filter((call) => /^(docker|systemctl)/.test(call))).toEqual([
      'docker login --username 00000000-0000-0000-0000-000000000000 --password-stdin reg.example',
      'docker pull --quiet reg.example/worker:1',
      'docker logout reg.example',
      'systemctl daemon-reload',
      'systemctl enable --now framefleet-worker@0',
      'systemctl enable --now framefleet-worker@1',
    ])
    // Arguments are read by all on the machine.
    expect(calls.join('\n')).not.toMatch(/own-token|registry-token/)
  })

  test('waits for rights that are not known yet, and gives up in the end', () => {
    const { status, stderr, calls } = run('worker/prepare-machine.sh', {
      programs: { ...programs, curl: 'exit 22' },
    })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'framefleet: reg.example/worker:1 could not be fetched\n',
    })
    expect(calls.filter((call) => call === 'sleep 10')).toHaveLength(11)
    expect(calls.some((call) => call.startsWith('systemctl'))).toBe(false)
  })

  test('has no worker where a GPU is missing', () => {
    const one = { ...programs, 'nvidia-smi': 'echo "GPU 0: T4"' }
    const { status, stderr } = run('worker/prepare-machine.sh', { programs: one })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'framefleet: 2 GPUs are needed, and there are 1\n',
    })
  })
})

test('a machine has no worker where the driver is older than what the image was made for', () => {
  const { status, stderr } = run('worker/prepare-machine.sh', {
    programs: {
      'nvidia-smi': '[[ $1 == --query* ]] && echo 570.86.15 || { echo "GPU 0: T4"; echo "GPU 1: T4"; }',
    },
  })
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: 'framefleet: the driver is 570.86.15, and the image wants 580 or later\n',
  })
})

test('a worker runs with no more rights than it needs, on its own GPU', () => {
  const { status, calls } = run('worker/run-worker.sh', {
    programs: { docker: '', hostname: 'echo machine' },
  })
  expect(status).toBe(0)
  const call = calls.find((each) => each.startsWith('docker run')) ?? ''
  for (const wanted of [
    '--gpus device=1',
    '--hostname machine-gpu1',
    '--read-only',
    '--cap-drop ALL',
    '--user 10001:10001',
    '--pull never',
  ])
    expect(call).toContain(wanted)
  expect(call).not.toMatch(/--privileged|--publish|--network|docker\.sock/)
})

test('a worker that is told to leave has time to', () => {
  const drainMs = workerSettings.FRAMEFLEET_DRAIN_MS.parse(undefined)
  const stopSeconds = Number(/--stop-timeout (\d+)/.exec(textOf('worker/run-worker.sh'))?.[1])
  const unit = textOf('worker/framefleet-worker@.service')
  expect(stopSeconds * 1_000).toBeGreaterThan(drainMs + 5_000)
  expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(stopSeconds)
  expect(unit).toMatch(/^KillMode=mixed$/m)
  expect(unit).toMatch(/^Restart=always$/m)
})

describe('before a deployment', () => {
  const env = { AZURE_ENV_NAME: 'test', AZURE_SUBSCRIPTION_ID: 'ours' }
  const look = (az: string, told: Record<string, string> = env) =>
    run('hooks/preprovision.sh', { programs: { az, azd: '' }, env: told })

  test.each([
    ['a fleet', 'echo 1', 'true'],
    ['no fleet in its group', 'echo 0', 'false'],
    ['no group', 'echo "(ResourceGroupNotFound) Resource group could not be found." >&2; exit 3', 'false'],
  ])('there is %s', (_, az, exists) => {
    const { status, stdout, calls } = look(az)
    expect({ status, stdout }).toEqual({ status: 0, stdout: `FLEET_EXISTS=${exists}\n` })
    expect(calls).toContain(`azd env set FLEET_EXISTS ${exists}`)
  })

  test('it looks where is deployed to, whatever subscription `az` has by default', () => {
    const ours = `[[ "$*" == *"--subscription ours "* ]] && echo 1 && exit
      echo "(ResourceGroupNotFound) Resource group could not be found." >&2; exit 3`
    expect(look(ours)).toMatchObject({ status: 0, stdout: 'FLEET_EXISTS=true\n' })
    const { status, stderr, calls } = look(ours, { AZURE_ENV_NAME: 'test' })
    expect(status).toBe(1)
    expect(stderr).toContain('AZURE_SUBSCRIPTION_ID: is needed')
    expect(calls).toEqual([''])
  })

  test('what is not known is not guessed', () => {
    const { status, stdout, stderr, calls } = look('echo "AADSTS70043: please sign in" >&2; exit 1')
    expect({ status, stdout, stderr }).toEqual({
      status: 1,
      stdout: '',
      stderr: 'AADSTS70043: please sign in\n',
    })
    expect(calls.some((call) => call.startsWith('azd'))).toBe(false)
  })
})

describe('images', () => {
  const env = { AZURE_CONTAINER_REGISTRY_ENDPOINT: 'reg.azurecr.io' }
  const revision = '0123456789abcdef0123456789abcdef01234567'
  const programs = {
    az: '',
    azd: '',
    git: `[[ $1 == status ]] || echo ${revision}`,
    // Those of other registries are there.
    docker: `[[ "$*" == *--format* ]] && echo sha256:${'a'.repeat(64)}; [[ "$*" != "buildx imagetools inspect reg"* ]]`,
  }

  test('are built of this commit and pushed', () => {
    const { status, stdout, stderr, calls } = run('hooks/push-images.sh', { programs, env })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toMatch(/^IMAGE_TAG=0123456789ab$/m)
    const base = `--build-arg NODE_IMAGE=node@sha256:${'a'.repeat(64)}`
    const version = `--build-arg VERSION=0123456789ab --build-arg REVISION=${revision}`
    const images = ['framefleet', 'framefleet-worker-cuda']
    expect(calls.filter((call) => /^(docker (?!.*inspect)|azd)/.test(call))).toEqual([
      ...images.map(
        (image) =>
          `docker build --platform linux/amd64 --target ${image} --tag reg.azurecr.io/${image}:0123456789ab ${base} ${version} .`,
      ),
      ...images.map((image) => `docker push reg.azurecr.io/${image}:0123456789ab`),
      'docker buildx imagetools create --tag reg.azurecr.io/prometheus:v3.5.0 docker.io/prom/prometheus:v3.5.0',
      'azd env set IMAGE_TAG 0123456789ab',
    ])
    const targets = readFileSync(join(deployDir, '../Dockerfile'), 'utf8')
    for (const image of images) expect(targets).toContain(` AS ${image}\n`)
  })

  test('that are there are left alone', () => {
    const { status, stdout, calls } = run('hooks/push-images.sh', {
      programs: { ...programs, docker: '' },
      env,
    })
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'IMAGE_TAG=0123456789ab\n' })
    expect(calls.filter((call) => /build |push|create/.test(call))).toEqual([])
  })

  test.each([
    ['changes are not committed', { git: 'echo " M src/x.ts"' }, 'an image is called after its commit'],
    ['the registry lets nobody in', { az: 'exit 1' }, 'reg.azurecr.io lets nobody in from here'],
  ])('are not built where %s', (_, other, sentence) => {
    const { status, stderr, calls } = run('hooks/push-images.sh', {
      programs: { ...programs, ...other },
      env,
    })
    expect(status).toBe(1)
    expect(stderr).toContain(sentence)
    expect(calls.filter((call) => /^docker|^azd/.test(call))).toEqual([])
  })
})

describe('the application of the API', () => {
  const id = '44444444-4444-4444-4444-444444444444'
  const env = { AZURE_ENV_NAME: 'test', API_AUDIENCE: id }
  const register = (az: string, { azd = 'exit 1', ...more }: Record<string, string> = {}) =>
    run('hooks/app-registration.sh', {
      programs: { az, azd: `[[ $2 == set ]] && exit; ${azd}` },
      env: { AZURE_ENV_NAME: 'test', ...more },
    })
  const known = `[[ "$*" != "ad app show --id ${id} "* ]] || echo framefleet test`
  const changes = (calls: string[]) =>
    calls.filter((call) => /^az (?!ad app list|ad app show|ad app owner list)|^azd env set/.test(call))

  test.each([
    ['made', `[[ "$*" == "ad app create"* ]] && echo ${id}; [[ "$*" != "ad sp show"* ]]`, {}, 2],
    ['taken up again by its id', known, { API_AUDIENCE: id }, 0],
    ['taken up again by what azd knows', known, { azd: `echo ${id}` }, 0],
  ])('is %s, with the roles of the API', (_, az, given, made) => {
    const { status, stdout, stderr, calls } = register(az, given)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toBe(`API_AUDIENCE=${id}\n`)
    expect(calls.filter((call) => /^az ad \w+ create/.test(call))).toHaveLength(made)
    expect(calls.join('\n')).toContain(`"api://${id}"`)
    expect(calls.join('\n')).toContain('{"appRoleAssignmentRequired": true}')
    expect(calls).toContain(`azd env set API_AUDIENCE ${id} --environment test`)
    // Nobody may be let in to ask for what is not there yet.
    expect(calls.findIndex((call) => call.includes('preAuthorized'))).toBeGreaterThan(
      calls.findIndex((call) => call.includes('oauth2PermissionScopes')),
    )
  })

  test('is none that somebody else has called so: its owners are named', () => {
    const { status, stdout, stderr, calls } = register(
      `[[ "$*" != "ad app list"* ]] || printf 'a\nb\n'; [[ "$*" != "ad app owner list --id a "* ]] || printf 'eve@x.example\nmallory\n'`,
    )
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr.split('\n')).toEqual([
      'framefleet: an application is called framefleet test already:',
      '  a, owned by eve@x.example mallory',
      '  b, owned by nobody',
      'If one was made by this script, set API_AUDIENCE to its id. Have those removed that are not yours.',
      '',
    ])
    expect(changes(calls)).toEqual([])
  })

  test.each([
    ['who is asked does not answer', 'exit 1', {}, ''],
    ['the id is that of another', 'echo payroll', { API_AUDIENCE: id }, 'which is called payroll and not'],
  ])('is not touched, and none made, where %s', (_, az, given, sentence) => {
    const { status, stdout, stderr, calls } = register(az, given)
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
    expect(stderr).toContain(sentence)
    expect(changes(calls)).toEqual([])
  })

  test('has the roles that routes ask for', () => {
    const { appRoles } = JSON.parse(textOf('entra/application.json')) as {
      appRoles: { id: string; value: string }[]
    }
    const ours = appRoles
      .map(({ value }) => value)
      .filter((value) => value !== 'AzureEventGridSecureWebhookSubscriber')
    expect(new Set(ours)).toEqual(new Set([...everyRole]))
    expect(new Set(appRoles.map((role) => role.id)).size).toBe(appRoles.length)
  })

  test.each([
    ['given', 0, 1],
    ['had already', 1, 0],
  ])('has a role %s', (_, before, posts) => {
    const az = `[[ "$*" == "ad sp show"* ]] && echo sp; [[ "$*" != *GET* ]] || echo ${before}`
    const { status, calls } = run('hooks/grant-role.sh', {
      programs: { az },
      env,
      args: ['who', 'Job.Submit'],
    })
    expect(status).toBe(0)
    expect(calls.filter((call) => call.includes('--method POST'))).toHaveLength(posts)
  })

  test('gives no role that there is not', () => {
    const { status, stderr, calls } = run('hooks/grant-role.sh', {
      programs: { az: '' },
      env,
      args: ['who', 'Job.Everything'],
    })
    expect({ status, stderr }).toEqual({ status: 1, stderr: 'framefleet: there is no role Job.Everything\n' })
    expect(calls).toEqual([''])
  })
})
