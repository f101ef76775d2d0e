import type { BlobServiceClient } from '@azure/storage-blob'
import type { Logger } from '../shared/log.ts'

/**
 * Lets our own page put files into a storage of this machine, and play them from there: a browser asks the storage whether pages
 * of these origins may. Only of an account without TLS, such as Azurite: one of Azure is set up where it is deployed.
 * Rules of others are kept. The page is the only one that misses it where it fails.
 */
export async function allowBrowsers(
  service: BlobServiceClient,
  origins: string[],
  log: Logger,
): Promise<void> {
  if (!service.url.startsWith('http:')) return
  try {
    const { cors = [] } = await service.getProperties()
    const known = new Set(cors.flatMap(({ allowedOrigins }) => allowedOrigins.split(',')))
    const missing = origins.filter((origin) => !known.has(origin))
    if (missing.length === 0) return
    const rule = {
      allowedOrigins: missing.join(','),
      allowedMethods: 'GET,HEAD,PUT,OPTIONS',
      allowedHeaders: 'content-type,content-md5,if-none-match,range,x-ms-*',
      exposedHeaders: 'content-length,content-range,content-type,etag,x-ms-*',
      maxAgeInSeconds: 3_600,
    }
    await service.setProperties({ cors: [...cors, rule].slice(-mostRules) })
  } catch (err) {
    log.warn({ err }, 'browsers can not put files into the storage')
  }
}

/** As many as an account takes. */
const mostRules = 5
