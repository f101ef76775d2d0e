import { findEndpoint, tokenOf } from '../endpoint.ts'
import { type Common, print } from '../output.ts'

/** Prints the token that the other commands call the API with. */
export async function token(options: Common, env: NodeJS.ProcessEnv): Promise<number> {
  const token = await tokenOf(await findEndpoint(env, options.dir))
  print(options.json ? { token } : token)
  return 0
}
