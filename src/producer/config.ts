import { z } from 'zod'
import {
  commonSettings,
  diskSettings,
  mediaSettings,
  redisSettings,
  systemSettings,
} from '../shared/config.ts'

export const producerSettings = {
  ...commonSettings,
  ...redisSettings,
  ...mediaSettings,
  ...systemSettings,
  ...diskSettings,
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
  FRAMEFLEET_SOURCE_HOSTS: z
    .string()
    .default('')
    .transform((list) =>
      list
        .split(',')
        .map((host) => host.trim().toLowerCase())
        .filter(Boolean),
    )
    .describe(
      'hosts besides the media account where sources and outputs may lie: host, host:port, or http://host:port',
    ),
  FRAMEFLEET_MAX_SOURCE_BYTES: z.coerce
    .number()
    .int()
    .positive()
    .default(200e9)
    .describe('largest source taken'),
  FRAMEFLEET_BOARD_WRITABLE: z
    .stringbool()
    .default(false)
    .describe('whether Bull Board may retry and remove entries'),
  FRAMEFLEET_PLAN_WORKERS: z.coerce
    .number()
    .int()
    .min(1)
    .max(1_000)
    .default(4)
    .describe('workers that a video is cut for: more make smaller batches, which end together'),
  FRAMEFLEET_SPLIT_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(1)
    .max(16)
    .default(2)
    .describe('videos planned at once'),
}
