/// An answer too large to be held gives the same whole and in two pieces; what is found of a JSON object is what stands
/// in it.
func fuzzOne(_ bytes: UnsafeRawBufferPointer) {
    let names: [StaticString] = ["usage", "id", "model"]
    var whole = MemberScanner(names: names)
    whole.feed(bytes)
    var pieces = MemberScanner(names: names)
    var units = UnitAnswerScanner()
    units.feed(bytes)
    var unitPieces = UnitAnswerScanner()
    withPieces(bytes, cut: cutPosition(bytes)) { piece in
        pieces.feed(piece)
        unitPieces.feed(piece)
    }
    precondition(whole.object == pieces.object, "members differ in pieces")
    precondition(
        units.report == unitPieces.report && units.dataCount == unitPieces.dataCount && units.size == unitPieces.size
            && units.quality == unitPieces.quality && units.hasError == unitPieces.hasError
            && units.sawLastEvent == unitPieces.sawLastEvent, "units differ in pieces")
    guard bytes.count <= MemberScanner.keptBytesMax, !bytes.contains(UInt8(ascii: "\\")) else { return }
    let (tree, found) = (JSONTree(), JSONTree())
    withExtendedLifetime((tree, found)) {
        guard let root = try? tree.read(bytes), root.kind == .object else { return }
        let object = whole.object ?? Array("{}".utf8)
        object.withUnsafeBytes { object in
            guard let members = try? found.read(object) else { preconditionFailure("what was found is no JSON") }
            for name in names {
                let values = root.members.filter { $0.isKey(name) }.map { Array($0.value.source.bytes) }
                let value = members[name].map { Array($0.source.bytes) }
                precondition(value == nil ? values.isEmpty : values.contains(value ?? []), "another member was found")
            }
        }
    }
}
