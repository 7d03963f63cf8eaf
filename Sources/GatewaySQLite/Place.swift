/// A row's place in the ledger as the one integer that is its key: 22 bits of stream, 40 bits of sequence number. So
/// the primary key (stream, sequence) is the table's own order, appends go to its end, and no index stands beside it.
struct Place {
    let id: Int64

    init(id: Int64) { self.id = id }

    init(streamID: Int64, sequence: Int64) {
        self.id = streamID << Self.sequenceBits | sequence
    }

    var streamID: Int64 { self.id >> Self.sequenceBits }
    var sequence: Int64 { self.id & Self.sequenceMax }
    /// 4,096 neighbouring places; `usage_block` keeps the range of times and request identifiers in each.
    var block: Int64 { self.id >> 12 }

    static let sequenceBits: Int64 = 40
    /// Over a trillion settlements of one journal.
    static let sequenceMax: Int64 = 1 << sequenceBits - 1
    static let streamIDMax: Int64 = 1 << 22 - 1
}
