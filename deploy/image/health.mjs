// What an image is asked for its health: is the role of this container ready? Process 1 says which role that is; an argument
// does where there is no container. Plain JavaScript, since it runs every ten seconds: nothing is loaded for it.
import { readFileSync } from 'node:fs'

const ports = { producer: 9104, worker: 9101, stitcher: 9102, autoscaler: 9103 }
const role =
  process.argv[2] ?? /dist\/(\w+)\/main\.js/.exec(readFileSync('/proc/1/cmdline', 'utf8'))?.[1] ?? ''
const port = Number(process.env[`FRAMEFLEET_${role.toUpperCase()}_PORT`] || ports[role])

/** Throws a sentence where the role is not ready. */
async function look() {
  if (Number.isNaN(port)) throw new Error(`no role runs here: "${role}"`)
  // It serves no such page, as it was told to.
  if (port === 0) return
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(4_000) })
  if (!answer.ok) throw new Error(`the ${role} answers ${answer.status}`)
}

await look().catch((error) => {
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
})
