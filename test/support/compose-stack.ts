import { execFile, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, startService } from '../../src/cli/services.ts'
import type { Service } from '../../src/shared/role-process.ts'
import { environmentOf, readCompose } from './compose.ts'
import { imageEnv, root } from './dockerfile.ts'
import { layOut } from './image-files.ts'

export const composeRoles = ['producer', 'worker', 'stitcher', 'autoscaler'] as const
export type ComposeRole = (typeof composeRoles)[number]

/**
 * What docker-compose.yml describes, without Docker: its commands run here, from the files that the images have, with their
 * environment and nothing else. Only what a network of its own would give them is put in its place: addresses, ports, folders.
 */
export async function startCompose(dir: string, env: Record<string, string>) {
  const app = join(layOut('framefleet-worker', join(dir, 'images')), 'app')
  for (const folder of ['logs', 'redis', 'azurite', 'work', 'tmp']) mkdirSync(join(dir, folder))
  const [redisPort, blobPort, queuePort, tablePort, apiPort] = await Promise.all(
    Array.from({ length: 5 }, freePort),
  )
  const { services } = readCompose({ ...env, FRAMEFLEET_API_PORT: String(apiPort) })
  const healthPorts = Object.fromEntries(
    await Promise.all(
      composeRoles.map(async (role) => [portSetting(role), String(await freePort())] as const),
    ),
  )
  const here = (text: string) =>
    text
      .replaceAll('redis:6379', `127.0.0.1:${redisPort}`)
      .replaceAll(/(?:azurite|127\.0\.0\.1):10000/g, `127.0.0.1:${blobPort}`)
      .replaceAll('0.0.0.0', '127.0.0.1')
      .replace(/^\/work\b/, join(dir, 'work'))
  const hereAll = (given: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
    PATH: process.env['PATH'],
    // What a container has to itself.
    TMPDIR: join(dir, 'tmp'),
    ...Object.fromEntries(Object.entries(given).map(([name, value]) => [name, here(value ?? '')])),
  })
  const words = (name: string) => {
    const [program = '', ...args] = (services[name]?.command ?? []) as string[]
    return { program, args: args.map(here) }
  }
  const running: Service[] = []
  const start = async (spec: Omit<Parameters<typeof startService>[0], 'logFile'>) => {
    const service = await startService({ ...spec, logFile: join(dir, 'logs', `${spec.name}.log`) })
    running.push(service)
    return service
  }

  const redis = words('redis')
  const azurite = words('azurite')
  const needs = [
    start({
      name: 'redis',
      command: redis.program,
      args: [...redis.args, '--port', String(redisPort), '--bind', '127.0.0.1', '--dir', join(dir, 'redis')],
      ready: /Ready to accept connections/,
    }),
    start({
      name: 'azurite',
      command: join(root, 'node_modules/.bin', azurite.program),
      args: [
        ...azurite.args.map((word) => (word === '/data' ? join(dir, 'azurite') : word)),
        ...[
          '--blobPort',
          String(blobPort),
          '--queuePort',
          String(queuePort),
          '--tablePort',
          String(tablePort),
        ],
      ],
      env: hereAll(environmentOf(services['azurite'])),
      ready: /Table service is successfully listening/,
    }),
  ]
  const envOf = (role: ComposeRole) => ({
    ...hereAll({ ...imageEnv('framefleet-worker'), ...environmentOf(services[role]) }),
    // In a container its /tmp is of its own.
    ...(role === 'autoscaler' ? { FRAMEFLEET_LOCAL_DIR: join(dir, 'tmp', 'fleet') } : {}),
    [portSetting(role)]: healthPorts[portSetting(role)],
  })

  return {
    dir,
    app,
    apiUrl: `http://127.0.0.1:${apiPort}`,
    /** Redis and Azurite, until they take connections. */
    startNeeds: async () => void (await Promise.all(needs)),
    async startRole(role: ComposeRole): Promise<Service> {
      const { program, args } = words(role)
      if (program !== 'node') throw new Error(`${role} is run by ${program}`)
      const [main = '', ...rest] = args
      return await start({
        name: role,
        command: process.execPath,
        args: [join(app, main), ...rest],
        env: envOf(role),
        ready: /"msg":"ready"/,
      })
    },
    /** What the image's own question about its health says of a role. */
    health: async (role: ComposeRole) =>
      await new Promise<{ code: number; said: string }>((resolve) => {
        execFile(process.execPath, [join(app, 'health.mjs'), role], { env: envOf(role) }, (error, _, said) =>
          resolve({ code: error ? Number(error.code) : 0, said: said.trim() }),
        )
      }),
    /** What Compose asks Redis or Azurite for its health. */
    healthOf(name: string): number | null {
      const [, program = '', ...args] = (services[name]?.healthcheck?.test ?? []) as string[]
      const own = program === 'redis-cli' ? ['-p', String(redisPort), ...args] : args.map(here)
      return spawnSync(program === 'node' ? process.execPath : program, own, { stdio: 'ignore' }).status
    },
    async stop() {
      await Promise.allSettled(needs)
      for (const service of running.toReversed()) await service.stop(5_000)
    },
  }
}

const portSetting = (role: string) => `FRAMEFLEET_${role.toUpperCase()}_PORT`
