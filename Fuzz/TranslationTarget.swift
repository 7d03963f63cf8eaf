/// The first two bytes choose the formats, the rest is a request, an answer, a failure and a stream. A stream gives the
/// same output whole and in two pieces; what comes out of requests and answers is JSON.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 2 else { return }
    let formats = WireFormat.allCases
    let source = formats[Int(bytes[0]) % formats.count]
    let target = formats[Int(bytes[1]) % formats.count]
    let body = UnsafeRawBufferPointer(rebasing: bytes[2...])
    var options = TranslationOptions()
    options.eventBytesMax = 2048
    options.dropsUnsupported = bytes[0] & 0x80 != 0
    if let request = try? RequestTranslator.translate(body, from: source, to: target, options: options) {
        precondition(isJSON(request.body), "a request became something else than JSON")
    }
    if case .answer(let answer)? = try? AnswerTranslator.translate(body, from: source, to: target, options: options) {
        precondition(isJSON(answer.body), "an answer became something else than JSON")
    }
    let failure = AnswerTranslator.readFailure(body, status: 400)
    precondition(isJSON(AnswerTranslator.errorBody(failure, as: target)), "a failure became something else than JSON")
    let whole = run(source, target, options) { translator, output in translator.feed(body, into: &output) }
    let pieces = run(source, target, options) { translator, output in
        withPieces(body, cut: cutPosition(body)) { translator.feed($0, into: &output) }
    }
    precondition(whole == pieces, "a stream reads differently in pieces")
}

private func run(
    _ source: WireFormat, _ target: WireFormat, _ options: TranslationOptions,
    _ feed: (StreamTranslator, inout [UInt8]) -> Void
) -> [UInt8] {
    let translator = StreamTranslator(from: source, to: target, options: options)
    var output: [UInt8] = []
    feed(translator, &output)
    translator.finish(into: &output)
    precondition(translator.isFinished, "a stream that has ended is not finished")
    return output
}

private func isJSON(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { (try? JSONTree().read($0)) != nil } }
