import CPostgres
import Glibc

/// A connection of a baseline or of the sampler: libpq and nothing else. For one thread.
final class PlainConnection {
    struct Failure: Error {
        /// SQLSTATE; empty when the connection failed.
        let state: String
        let text: String

        /// Deadlock, or a lock not given in time.
        var isRetried: Bool { self.state == "40P01" || self.state == "55P03" }
    }

    private let connection: OpaquePointer

    init(_ url: String, name: String) throws(Failure) {
        let separator = url.contains("?") ? "&" : "?"
        guard let connection = PQconnectdb("\(url)\(separator)application_name=\(name)") else {
            throw Failure(state: "", text: "no memory for a connection")
        }
        self.connection = connection
        guard PQstatus(connection) == CONNECTION_OK else {
            throw Failure(state: "", text: String(cString: PQerrorMessage(connection)))
        }
    }

    deinit { PQfinish(self.connection) }

    /// Runs one or more statements without values. Returns the last one's rows.
    @discardableResult
    func run(_ text: String) throws(Failure) -> [[String]] { try self.rows(PQexec(self.connection, text)) }

    func prepare(_ name: String, _ text: String) throws(Failure) {
        try self.rows(PQprepare(self.connection, name, text, 0, nil))
    }

    /// Runs a prepared statement.
    func run(prepared name: String, _ values: [String]) throws(Failure) {
        let copies = values.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        let pointers = copies.map { UnsafePointer<CChar>($0) }
        try self.rows(PQexecPrepared(self.connection, name, Int32(values.count), pointers, nil, nil, 0))
    }

    @discardableResult
    private func rows(_ result: OpaquePointer?) throws(Failure) -> [[String]] {
        defer { PQclear(result) }
        let status = PQresultStatus(result)
        guard status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK else {
            let state = PQresultErrorField(result, 67).map { String(cString: $0) } ?? ""  // 67: 'C', PG_DIAG_SQLSTATE
            throw Failure(state: state, text: String(cString: PQresultErrorMessage(result)))
        }
        return (0..<PQntuples(result)).map { row in
            (0..<PQnfields(result)).map { String(cString: PQgetvalue(result, row, $0)) }
        }
    }
}
