/// Keys of log metadata. Messages are constants; facts go under these.
enum LogKey: String {
    case changePosition = "change.position"
    case credentialAction = "credential.action"
    case entityAction = "entity.action"
    case entityCount = "entity.count"
    case entityKind = "entity.kind"
    case errorMessage = "error.message"
    case keyAction = "key.action"
    case keyCount = "key.count"
    case keyID = "key.id"
    case keyActor = "key.actor"
    case modelAction = "model.action"
    case modelID = "model.id"
    case route = "http.route"
}
