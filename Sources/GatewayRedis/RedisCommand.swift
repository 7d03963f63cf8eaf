import NIOCore

/// One command, in the form that it is sent in (RESP 2: an array of bulk strings).
package struct RedisCommand: Sendable {
    private var count = 0
    private var body = ByteBuffer()

    package init(_ words: String...) {
        for word in words { self.add(word) }
    }

    package mutating func add(_ word: String) {
        self.head(word.utf8.count)
        self.body.writeString(word)
        self.body.writeStaticString("\r\n")
    }

    package mutating func add(_ bytes: [UInt8]) {
        self.head(bytes.count)
        self.body.writeBytes(bytes)
        self.body.writeStaticString("\r\n")
    }

    private mutating func head(_ length: Int) {
        self.count += 1
        self.body.writeString("$\(length)\r\n")
    }

    /// The command with another word at its end.
    package func with(_ word: String) -> RedisCommand {
        var command = self
        command.add(word)
        return command
    }

    package func with(_ bytes: [UInt8]) -> RedisCommand {
        var command = self
        command.add(bytes)
        return command
    }

    func write(to buffer: inout ByteBuffer) {
        buffer.writeString("*\(self.count)\r\n")
        buffer.writeImmutableBuffer(self.body)
    }
}
