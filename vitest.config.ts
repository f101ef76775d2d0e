import { defineConfig } from 'vitest/config'

// Others may use this machine as well: vitest's own second is too short for whatever a test waits for.
const expect = { poll: { timeout: 20_000 } }

const project = (name: string, testTimeout: number) => ({
  extends: true as const,
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout, hookTimeout: 60_000, expect },
})

export default defineConfig({
  test: {
    // Two test files side by side is what two cores carry: each starts real services of its own.
    maxWorkers: 2,
    projects: [project('unit', 20_000), project('integration', 60_000), project('e2e', 180_000)],
  },
})
