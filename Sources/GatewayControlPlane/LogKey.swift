/// Keys of log metadata. Messages are constants; facts go under these.
enum LogKey: String {
    case changePosition = "change.position"
    case errorMessage = "error.message"
    case keyAction = "key.action"
    case keyID = "key.id"
    case keyActor = "key.actor"
    case route = "http.route"
}
