import GatewayCore

extension ControlCall {
    /// Bytes of a management request's body; the largest sensible one, a key with full metadata, is far smaller.
    static let bodyBytesMax = 1 << 20

    /// The body's members; none for an empty body.
    /// - Throws: 413, 400 for a body that is not JSON, 422 for one that is not an object.
    func bodyMembers() throws(ControlRefusal) -> [JSONMember] {
        let body = self.request.body
        guard body.count <= Self.bodyBytesMax else {
            throw .gateway(
                GatewayError(
                    status: 413, type: "invalid_request_error", param: "request_body", origin: .caller,
                    message: "The body of a management request holds at most \(Self.bodyBytesMax) bytes."))
        }
        if body.isEmpty { return [] }
        let value: JSONValue
        do throws(JSONError) { value = try JSONParser.parse(body) } catch {
            throw .gateway(
                GatewayError(
                    status: 400, type: "invalid_request_error", param: "request_body", origin: .caller,
                    message: "Invalid JSON in the request body: \(error.message), at byte \(error.offset)."))
        }
        guard case .object(let members) = value else {
            throw .invalid([
                FieldProblem(
                    location: ["body"], message: "Input should be a valid dictionary or object to extract fields from",
                    type: "model_attributes_type")
            ])
        }
        return members
    }
}
