/**
 * Takes secrets out of text that people may read: SAS signatures, account keys, bearer tokens, passwords in URLs.
 * ffmpeg, the Azure SDK and `fetch` all put whole URLs into their messages, so every error passes through here
 * before it is thrown across a process or written anywhere. What may begin at many places of a text has a longest
 * length: the text may be a stranger's, and long.
 */
const secrets: [RegExp, string][] = [
  // The query of a SAS, also where a URL stands inside another, or in XML or JSON.
  [
    /((?:[?&]|&amp;|\\u0026)(?:se|st|skoid|sktid|ske|sks|skt|skv|sp|spr|sr|sv|token|code|key|password)=)[^&\s"'<>\\]+/gi,
    '$1***',
  ],
  [/((?:^|[^A-Za-z0-9_]|%3F|%26|\\u0026)sig(?:=|%3D))[^&\s"'<>\\]+/gi, '$1***'],
  [/((?:AccountKey|SharedAccessSignature)"?\s*[=:]\s*"?)[^;\s"']+/gi, '$1***'],
  // Sixteen characters are the least that a token of ours has; shorter words are words.
  [/(\b(?:Bearer|Basic|SharedKey)\s+)[^\s"',;]{16,}/gi, '$1***'],
  // A token of Entra, wherever it stands: for Redis it is a password. Looked for once in each word, however long that is.
  [/(?<![\w-])((?:(?!eyJ)[\w-])*)eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)*/g, '$1***'],
  // A password that nobody escaped may hold what ends a host: what stands where a port would, and is none, belongs to it.
  [/(\brediss?:\/\/)[^\s"'<>]{0,1000}@/gi, '$1***@'],
  [/(\b[a-z][a-z0-9+.-]{0,30}:\/\/)[^/\s:@[]*:(?!\d{1,5}(?:[/?#]|$))[^\s"'<>]{0,1000}@/gi, '$1***@'],
  [/(\b[a-z][a-z0-9+.-]{0,30}:\/\/)[^/\s]*@/gi, '$1***@'],
]

export function redact(text: string): string {
  return secrets.reduce((clean, [pattern, put]) => clean.replace(pattern, put), text)
}

/** The URL as it may be shown and stored: without user, query or fragment. */
export function publicUrl(url: string): string {
  const parsed = new URL(url)
  return `${parsed.origin}${parsed.pathname}`
}
