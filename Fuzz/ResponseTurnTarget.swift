/// A request, a line with nothing but `%`, and an answer or the end of a stream: the turn that they make is JSON, and so is
/// all that is made of it.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    let mark = Array("\n%\n".utf8)
    let cut = bytes.indices.first { bytes[$0...].starts(with: mark) } ?? bytes.count
    let request = UnsafeRawBufferPointer(rebasing: bytes[..<cut])
    let response = UnsafeRawBufferPointer(rebasing: bytes[min(cut + mark.count, bytes.count)...])
    if let event = ResponseTurn.lastEvent(of: response) {
        precondition(event.start <= event.data.lowerBound && event.data.upperBound <= response.count, "an event beyond")
    }
    for isStream in [false, true] {
        guard
            let turn = ResponseTurn.record(request: request, response: response, isStream: isStream, identifier: "0f")
        else { continue }
        precondition(isJSON(turn), "a turn is no JSON")
        precondition(ResponseTurn.response(of: turn).map(isJSON) == true, "a turn without its response")
        precondition(ResponseTurn.inputItems(of: turn, .init()).map(isJSON) == true, "items are no JSON")
        if let next = ResponseTurn.expanded(request, turns: [turn, turn]) {
            precondition(isJSON(next), "a request that goes on is no JSON")
        }
    }
}

private func isJSON(_ bytes: [UInt8]) -> Bool { bytes.withUnsafeBytes { (try? JSONTree().read($0)) != nil } }
