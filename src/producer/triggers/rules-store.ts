import type { BlobStore } from '../../shared/blob-store.ts'
import { TransientError } from '../../shared/errors.ts'
import { layout } from '../../shared/layout.ts'
import { Rules, defaultRules } from './rule.ts'
import { toJson } from './to-json.ts'

export type RulesStore = ReturnType<typeof createRulesStore>

/** The rules that people set, in the system container: they outlive Redis. */
export function createRulesStore(system: Pick<BlobStore, 'read' | 'writeJson'>) {
  return {
    /**
     * The rules in force; `byDefault` where nobody has set any. Where what lies there can't be read nothing is started by a
     * guess: throws TransientError, so that what landed waits.
     */
    async read(): Promise<{ rules: Rules; byDefault: boolean }> {
      const text = (await system.read(layout.triggerRules))?.toString('utf8')
      if (text === undefined) return { rules: defaultRules, byDefault: true }
      const read = Rules.safeParse(toJson(text))
      if (read.success) return { rules: read.data, byDefault: false }
      throw new TransientError(
        `The rules for what lands can't be read (${layout.triggerRules} in the system container); set them anew with PUT /v1/triggers.`,
      )
    },
    set: async (rules: Rules): Promise<void> => {
      await system.writeJson(layout.triggerRules, rules)
    },
  }
}
