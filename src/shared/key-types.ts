/** What a key is in Redis: one of its own types, a `counter` (a string of digits) or a `lease` (a string that ends). */
export type KeyType = 'string' | 'list' | 'set' | 'zset' | 'hash' | 'stream' | 'counter' | 'lease'

/** Keys and what each is while nobody else wrote there. */
export type KeyTypes = Record<string, KeyType>
