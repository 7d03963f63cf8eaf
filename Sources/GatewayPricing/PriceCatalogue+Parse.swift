/// A price file that cannot be used: line, reason and mend.
package struct PriceCatalogueError: Error, Hashable, Sendable {
    /// Counted from 1.
    package let line: Int
    package let reason: String

    package var message: String { "Price file, line \(self.line): \(self.reason)." }
}

extension PriceCatalogue {
    /// Start of the first line; the version follows.
    static let magic = "#martlet-prices 1 "
    /// A user's file may have this many bytes; the shipped one has under 1 MB.
    package static let bytesMax = 64 << 20

    /// Opens a price file of the user. The lines may stand in any order; every one is checked now, so that no lookup
    /// meets a bad line later.
    /// - Throws: the first fault. The file is refused whole.
    package static func parse(text: String) throws(PriceCatalogueError) -> PriceCatalogue {
        guard text.utf8.count <= self.bytesMax else {
            throw PriceCatalogueError(line: 1, reason: "the file has more than \(self.bytesMax) bytes")
        }
        // Split by bytes: to Character, "\r\n" would be one.
        var lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0 }
            .map { String(Substring($0)) }
        let header = lines.removeFirst()
        guard let version = self.version(ofHeader: header) else {
            throw PriceCatalogueError(
                line: 1,
                reason: "the file must start with \"\(self.magic)VERSION\", VERSION being 1 to 64 of "
                    + "letters, digits, dots and dashes; make it with scripts/make-price-catalogue")
        }
        var entries: [(name: String, text: String, line: Int)] = []
        for (index, line) in lines.enumerated() where !line.isEmpty && !line.hasPrefix("#") {
            do throws(PriceLineFault) {
                entries.append((try PriceLine(parsing: line).name, line, index + 2))
            } catch {
                throw PriceCatalogueError(line: index + 2, reason: error.reason)
            }
        }
        entries.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        for (earlier, later) in zip(entries, entries.dropFirst()) where earlier.name == later.name {
            throw PriceCatalogueError(
                line: max(earlier.line, later.line),
                reason: "the model \"\(later.name)\" is there already, at line \(min(earlier.line, later.line))")
        }
        var bytes = Array((self.magic + version + "\n").utf8)
        let bodyStart = bytes.count
        for entry in entries {
            bytes += entry.text.utf8
            bytes.append(UInt8(ascii: "\n"))
        }
        return PriceCatalogue(version: version, storage: PriceCatalogueText(owned: bytes, bodyStart: bodyStart))
    }

    /// Opens the text that the script has written into the program; its lines are not looked at.
    static func open(_ text: StaticString) -> PriceCatalogue {
        let bytes = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        var start = 0
        var header = ""
        // The header is the run of lines that start with '#'; the version is in its first.
        while start < bytes.count && bytes[start] == UInt8(ascii: "#") {
            let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
            if header.isEmpty { header = String(decoding: bytes[start..<end], as: UTF8.self) }
            start = min(end + 1, bytes.count)
        }
        guard let version = self.version(ofHeader: header) else {
            preconditionFailure("the shipped price catalogue has no header: \(header)")
        }
        return PriceCatalogue(version: version, storage: PriceCatalogueText(shipped: text, bodyStart: start))
    }

    /// The entry of exactly this name. `nil`: there is none.
    package func entry(named name: String) -> ModelPrice? {
        guard let line = self.storage.line(named: name) else { return nil }
        do throws(PriceLineFault) {
            return try PriceLine(parsing: line).price(version: self.version)
        } catch {
            // A user's file was checked whole by `parse`, the shipped one by a test of every line.
            preconditionFailure("the price catalogue is damaged at \(name): \(error.reason)")
        }
    }

    /// Calls `body` with every line of the catalogue: its number, its text and the price it means, or what is wrong.
    package func forEachEntry(_ body: (_ line: Int, _ text: String, Result<ModelPrice, PriceCatalogueError>) -> Void) {
        self.storage.forEachLine { number, text in
            do throws(PriceLineFault) {
                body(number, text, .success(try PriceLine(parsing: text).price(version: self.version)))
            } catch {
                body(number, text, .failure(PriceCatalogueError(line: number, reason: error.reason)))
            }
        }
    }

    private static func version(ofHeader header: String) -> String? {
        guard header.hasPrefix(self.magic) else { return nil }
        let version = header.dropFirst(self.magic.count)
        let isText = version.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return isText && (1...64).contains(version.utf8.count) ? String(version) : nil
    }
}

extension ModelPrice {
    /// The catalogue's line of this price, without a newline.
    package var catalogueLine: String { PriceLine.text(of: self) }
}
