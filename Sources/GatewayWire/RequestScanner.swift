/// One strict pass over a request body.
struct RequestScanner {
    private var cursor: JSONCursor
    private(set) var scan = RequestScan()
    /// One bit per `JSONFault.Field` that was seen.
    private var seenFields: UInt16 = 0
    private var maxTokens: Int64 = -1
    private var maxCompletionTokens: Int64 = -1

    init(cursor: JSONCursor) { self.cursor = cursor }

    mutating func readBody() throws(JSONFault) {
        guard try self.cursor.peekToken() == UInt8(ascii: "{") else {
            // Says "malformed" of what is no JSON at all, "not an object" of an array or a scalar.
            try self.cursor.skipValue(first: try self.cursor.peekToken(), depth: 0)
            throw .notAnObject
        }
        self.cursor.position &+= 1
        var token = try self.cursor.peekToken()
        if token == UInt8(ascii: "}") {
            self.scan.objectEnd = self.cursor.position
        } else {
            while true {
                try self.readField(first: token)
                token = try self.cursor.peekToken()
                if token == UInt8(ascii: "}") { break }
                guard token == UInt8(ascii: ",") else { throw .malformed(offset: self.cursor.position) }
                self.cursor.position &+= 1
                token = try self.cursor.peekToken()
            }
            self.scan.objectEnd = self.cursor.position
        }
        self.cursor.position &+= 1
        try self.readEnd()
        self.scan.maxTokens = self.maxCompletionTokens >= 0 ? self.maxCompletionTokens : self.maxTokens
        self.scan.inputTextBytes = self.cursor.textBytes
    }

    /// Only white space may follow the object.
    private mutating func readEnd() throws(JSONFault) {
        while self.cursor.position < self.cursor.end {
            let byte = self.cursor.byte(self.cursor.position)
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else {
                throw .trailingBytes(offset: self.cursor.position)
            }
            self.cursor.position &+= 1
        }
    }

    @inline(__always)
    private mutating func readField(first: UInt8) throws(JSONFault) {
        guard first == UInt8(ascii: "\"") else { throw .malformed(offset: self.cursor.position) }
        let key = try self.cursor.readString()
        try self.cursor.read(UInt8(ascii: ":"))
        let token = try self.cursor.peekToken()
        self.scan.topLevelFieldCount &+= 1
        guard let field = try RequestField.of(key: key, isPlain: self.cursor.isPlain, self.cursor.base) else {
            return try self.cursor.skipValue(first: token, depth: 1)
        }
        try self.readOwn(field, first: token)
    }

    private mutating func readOwn(_ field: JSONFault.Field, first: UInt8) throws(JSONFault) {
        try self.markSeen(field)
        let start = self.cursor.position
        switch field {
        case .model:
            guard first == UInt8(ascii: "\"") else { throw .wrongType(.model) }
            let overhead = self.cursor.escapeOverhead
            self.scan.model = try self.cursor.readString()
            self.scan.modelHasEscapes = self.cursor.escapeOverhead != overhead
            self.scan.modelToken = ByteRange(start, self.cursor.position)
        case .stream: self.scan.stream = try self.readBool(.stream, first: first)
        case .streamOptions: try self.readStreamOptions(first: first)
        case .maxTokens: self.maxTokens = try self.readInteger(.maxTokens, first: first) ?? -1
        case .maxCompletionTokens:
            self.maxCompletionTokens = try self.readInteger(.maxCompletionTokens, first: first) ?? -1
        case .choiceCount:
            let count = try self.readInteger(.choiceCount, first: first) ?? 1
            guard count >= 1 else { throw .wrongType(.choiceCount) }
            self.scan.choiceCount = count
        case .user:
            let overhead = self.cursor.escapeOverhead
            try self.cursor.skipValue(first: first, depth: 1)
            if first == UInt8(ascii: "\""), self.cursor.escapeOverhead == overhead {
                self.scan.user = ByteRange(start &+ 1, self.cursor.position &- 1)
            }
        case .mockResponse:
            try self.cursor.skipValue(first: first, depth: 1)
            if first != UInt8(ascii: "n") { self.scan.mockResponse = ByteRange(start, self.cursor.position) }
        case .includeUsage: break  // not a top-level field
        }
    }

    private mutating func markSeen(_ field: JSONFault.Field) throws(JSONFault) {
        let bit = 1 as UInt16 &<< UInt16(field.rawValue)
        guard self.seenFields & bit == 0 else { throw .duplicateField(field) }
        self.seenFields |= bit
    }

    /// `null` counts as absent, which is false.
    private mutating func readBool(_ field: JSONFault.Field, first: UInt8) throws(JSONFault) -> Bool {
        guard first == UInt8(ascii: "t") || first == UInt8(ascii: "f") || first == UInt8(ascii: "n") else {
            throw .wrongType(field)
        }
        try self.cursor.skipScalar(first: first)
        return first == UInt8(ascii: "t")
    }

    /// `nil`: null. A fraction must be zero, an exponent is refused, as is a magnitude above 2^53.
    private mutating func readInteger(_ field: JSONFault.Field, first: UInt8) throws(JSONFault) -> Int64? {
        let start = self.cursor.position
        let isNumber = first == UInt8(ascii: "-") || ByteClass.isDigit(first)
        guard isNumber || first == UInt8(ascii: "n") else { throw .wrongType(field) }
        try self.cursor.skipScalar(first: first)
        if !isNumber { return nil }
        let isNegative = first == UInt8(ascii: "-")
        guard let magnitude = JSONNumber.count(self.cursor.base, isNegative ? start &+ 1 : start, self.cursor.position)
        else { throw .wrongType(field) }
        return isNegative ? -magnitude : magnitude
    }

    private mutating func readStreamOptions(first: UInt8) throws(JSONFault) {
        let start = self.cursor.position
        if first == UInt8(ascii: "{") {
            try self.readStreamOptionFields()
        } else {
            guard first == UInt8(ascii: "n") else { throw .wrongType(.streamOptions) }
            try self.cursor.skipScalar(first: first)
        }
        self.scan.streamOptions = ByteRange(start, self.cursor.position)
    }

    private mutating func readStreamOptionFields() throws(JSONFault) {
        self.cursor.position &+= 1
        var token = try self.cursor.peekToken()
        while token != UInt8(ascii: "}") {
            guard token == UInt8(ascii: "\"") else { throw .malformed(offset: self.cursor.position) }
            let key = try self.cursor.readString()
            let isOurs = try RequestField.isIncludeUsage(key: key, isPlain: self.cursor.isPlain, self.cursor.base)
            try self.cursor.read(UInt8(ascii: ":"))
            let first = try self.cursor.peekToken()
            self.scan.streamOptionsFieldCount &+= 1
            if isOurs {
                try self.markSeen(.includeUsage)
                let start = self.cursor.position
                self.scan.includeUsage = try self.readBool(.includeUsage, first: first)
                self.scan.includeUsageToken = ByteRange(start, self.cursor.position)
            } else {
                try self.cursor.skipValue(first: first, depth: 2)
            }
            token = try self.cursor.peekToken()
            if token == UInt8(ascii: "}") { break }
            guard token == UInt8(ascii: ",") else { throw .malformed(offset: self.cursor.position) }
            self.cursor.position &+= 1
            token = try self.cursor.peekToken()
            // A comma must be followed by another field.
            if token == UInt8(ascii: "}") { throw .malformed(offset: self.cursor.position) }
        }
        self.cursor.position &+= 1
    }
}
