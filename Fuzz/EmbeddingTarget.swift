/// The first two bytes choose the shapes, the rest is a request for embeddings and an answer with some: what comes out
/// is JSON.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 2 else { return }
    let formats = EmbeddingFormat.allCases
    let source = formats[Int(bytes[0]) % formats.count]
    let target = formats[Int(bytes[1]) % formats.count]
    let body = UnsafeRawBufferPointer(rebasing: bytes[2...])
    var options = TranslationOptions()
    options.dropsUnsupported = bytes[0] & 0x80 != 0
    var memory = EmbeddingMemory()
    if let request = try? EmbeddingTranslator.request(body, from: source, to: target, options: options) {
        precondition(isJSON(request.body), "a request became something else than JSON")
        memory = request.memory
    }
    memory.isBase64 = bytes[1] & 0x80 != 0
    let answer = try? EmbeddingTranslator.answer(
        body, from: source, to: target, options: options, memory: memory, inputTokens: nil)
    if let answer { precondition(isJSON(answer.body), "an answer became something else than JSON") }
    _ = EmbeddingTranslator.inputTokens(body, of: source)
}

private func isJSON(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { (try? JSONTree().read($0)) != nil } }
