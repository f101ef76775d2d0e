/** What every command that calls the API takes. */
export type Common = { dir: string; json: boolean }

export const print = (value: unknown) =>
  void process.stdout.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`)
