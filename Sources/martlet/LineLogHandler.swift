import GatewayCore
import Glibc
import Logging

/// Log lines on standard error, as text or as one JSON object a line.
struct LineLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    let isJSON: Bool
    let clock: any WallClock

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let facts = self.metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        let time = self.clock.now().iso8601
        var line: String
        if self.isJSON {
            line = "{\"time\":\"\(time)\",\"level\":\"\(event.level)\",\"message\":\(jsonQuoted("\(event.message)"))"
            for (key, value) in facts { line += ",\(jsonQuoted(key)):\(jsonQuoted("\(value)"))" }
            line += "}\n"
        } else {
            line = "\(time) \(event.level) \(event.message)"
            for (key, value) in facts { line += " \(key)=\(jsonQuoted("\(value)"))" }
            line += "\n"
        }
        line.withUTF8 { bytes in
            // One write keeps lines of several threads apart; a log that cannot be written has nobody to tell.
            _ = write(STDERR_FILENO, bytes.baseAddress, bytes.count)
        }
    }
}
