/// A stream gives the same events whole and in two pieces.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    var whole = Reading()
    whole.feed(bytes)
    var pieces = Reading()
    withPieces(bytes, cut: cutPosition(bytes)) { pieces.feed($0) }
    precondition(whole == pieces, "a stream reads differently in pieces")
}

private struct Reading: Equatable {
    private var scanner = EventStreamScanner(eventBytesMax: 4096)
    private var events: [EventStreamScanner.Event] = []
    private var fault: EventStreamFault?

    mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        var events: [EventStreamScanner.Event] = []
        var lastEnd = 0
        let fault = self.scanner.feed(bytes) { event, end in
            precondition(end > lastEnd && end <= bytes.count)
            lastEnd = end
            events.append(event)
        }
        self.events += events
        self.fault = self.fault ?? fault
    }

    static func == (a: Reading, b: Reading) -> Bool {
        a.events == b.events && a.fault == b.fault && a.scanner.lastUsage == b.scanner.lastUsage
            && a.scanner.contentBytesTotal == b.scanner.contentBytesTotal && a.scanner.sawDone == b.scanner.sawDone
    }
}
