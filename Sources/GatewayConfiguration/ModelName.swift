/// Rules for the names that callers use for models.
enum ModelName {
    static let bytesMax = 256

    struct Fault: Hashable {
        var problem: String
        var mend: String
    }

    /// `nil`: the name can be used. A name stands in headers, logs and metric labels, so it is short and printable.
    static func fault(of name: String) -> Fault? {
        if name.isEmpty { return Fault(problem: "is empty", mend: "write a name") }
        if name.utf8.count > self.bytesMax {
            return Fault(problem: "is longer than \(self.bytesMax) bytes", mend: "shorten it")
        }
        if name.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) }) {
            return Fault(problem: "holds a control character", mend: "remove it")
        }
        if name.hasPrefix(" ") || name.hasSuffix(" ") {
            return Fault(problem: "starts or ends with a space", mend: "remove it")
        }
        if self.wildcards(in: name) > 1 {
            return Fault(problem: "holds more than one `*`", mend: "keep one")
        }
        return nil
    }

    static func wildcards(in name: String) -> Int { name.utf8.count { $0 == UInt8(ascii: "*") } }
}
