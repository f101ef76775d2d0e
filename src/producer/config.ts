import { z } from 'zod'
import { commonSettings, redisSettings, sourceSettings, storageSettings } from '../shared/config.ts'

export const producerSettings = {
  ...commonSettings,
  ...redisSettings,
  ...storageSettings,
  ...sourceSettings,
  FRAMEFLEET_API_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(8080)
    .describe("port of the producer's API"),
  FRAMEFLEET_API_TOKENS: z
    .string()
    .transform((list) => list.split(',').map((token) => token.trim()))
    .refine(
      (tokens) => tokens.every((token) => token.length >= 16),
      'each token must have 16 characters or more',
    )
    .describe('tokens that callers may use, separated by commas'),
  FRAMEFLEET_BOARD_WRITABLE: z
    .stringbool()
    .default(false)
    .describe('whether Bull Board may retry and remove entries'),
  FRAMEFLEET_SPLIT_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(1)
    .max(16)
    .default(2)
    .describe('videos planned at once'),
}
