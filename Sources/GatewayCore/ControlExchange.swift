/// A request to the control plane (management, health, metrics), whole: the data plane hands over every path that is
/// not a call to a model. Bounded by the data plane before it gets here.
package struct ControlRequest: Sendable {
    package var method: String
    /// Path as sent, still percent-encoded, without the query.
    package var path: String
    /// Text behind `?`, still percent-encoded. `nil`: no question mark.
    package var query: String?
    /// Names in lower case; values trimmed; in the order sent.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// Digest of the presented key. `nil`: none was presented.
    package var credential: KeyDigest?

    package init(
        method: String, path: String, query: String?, headers: [(name: String, value: String)], body: [UInt8],
        credential: KeyDigest?
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.credential = credential
    }
}

/// The control plane's whole answer; the data plane adds length, connection and call id.
package struct ControlResponse: Sendable {
    package var status: Int
    package var contentType: String
    /// Further headers; values must not hold CR, LF or NUL (the data plane refuses to send such a header).
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]

    package init(
        status: Int, contentType: String = "application/json", headers: [(name: String, value: String)] = [],
        body: [UInt8]
    ) {
        self.status = status
        self.contentType = contentType
        self.headers = headers
        self.body = body
    }
}

/// Answers requests that are not calls to a model. Off the event loops: slowness here is not felt by calls.
package protocol ControlHandler: Sendable {
    func respond(to request: ControlRequest) async -> ControlResponse
}
