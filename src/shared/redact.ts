/**
 * Takes secrets out of text that people may read: SAS signatures, account keys, bearer tokens, passwords in URLs.
 * ffmpeg, the Azure SDK and `fetch` all put whole URLs into their messages, so every error passes through here
 * before it is thrown across a process or written anywhere.
 */
const secrets: [RegExp, string][] = [
  [
    /([?&](?:sig|se|st|skoid|sktid|ske|sks|skt|skv|sp|spr|sr|sv|token|code|key|password)=)[^&\s"'<>\\]+/gi,
    '$1***',
  ],
  [/((?:AccountKey|SharedAccessSignature)=)[^;\s"']+/gi, '$1***'],
  [/(\b(?:Bearer|Basic|SharedKey)\s+)[A-Za-z0-9._~+/:=-]{6,}/gi, '$1***'],
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^/\s:@"']*:[^/\s@"']+@/gi, '$1***@'],
]

export function redact(text: string): string {
  return secrets.reduce((clean, [pattern, put]) => clean.replace(pattern, put), text)
}

/** The URL as it may be shown and stored: without user, query or fragment. */
export function publicUrl(url: string): string {
  const parsed = new URL(url)
  return `${parsed.origin}${parsed.pathname}`
}
