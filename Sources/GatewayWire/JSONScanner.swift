/// Reads the few fields that the gateway needs out of JSON (RFC 8259) without building a tree.
package enum JSONScanner {
    /// Levels of arrays and objects that a body may have.
    package static let depthMax = 128

    /// Validates an OpenAI-style request body in one pass and notes the fields that the gateway acts on.
    @inline(never)
    package static func scanRequest(_ bytes: UnsafeRawBufferPointer) -> Result<RequestScan, JSONFault> {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return .failure(.truncated) }
        guard bytes.count <= Int(Int32.max) else { return .failure(.tooLarge) }
        var scanner = RequestScanner(cursor: JSONCursor(base: base, count: bytes.count))
        do throws(JSONFault) {
            try scanner.readBody()
            return .success(scanner.scan)
        } catch {
            return .failure(error)
        }
    }

    /// Finds the usage in a whole OpenAI-shaped answer. Tolerant: values that are of no interest are skipped, not
    /// validated, and a malformed body gives what was found with `isComplete` false and `usage` nil.
    @inline(never)
    package static func scanAnswer(_ bytes: UnsafeRawBufferPointer) -> UsageScan {
        guard let base = bytes.baseAddress, bytes.count <= Int(Int32.max) else { return UsageScan() }
        var reader = AnswerReader(base: base, count: bytes.count, looksIntoChoices: false)
        let isComplete = reader.read()
        var scan = UsageScan()
        scan.usage = isComplete ? reader.facts.usage : nil
        scan.model = reader.facts.model
        scan.hasError = reader.facts.hasError
        scan.isComplete = isComplete
        return scan
    }

    /// Bytes of generated text in a whole answer (message content, reasoning, refusal, tool arguments, `text`; escapes
    /// counted as the bytes they stand for), to estimate output tokens when no usage came. 0 for a malformed answer.
    package static func contentBytes(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress, bytes.count <= Int(Int32.max) else { return 0 }
        var reader = AnswerReader(base: base, count: bytes.count, looksIntoChoices: true)
        return reader.read() ? reader.facts.contentBytes : 0
    }
}
