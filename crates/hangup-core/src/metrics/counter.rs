//! Single counters.

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// Totals since the process was started or forked.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Counter { $($(#[doc = $doc])* $variant,)* }

        impl Counter {
            /// All counters, in the order of their declaration.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];

            /// Stable lower-case name.
            pub const fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }

            /// The counter with this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.name() == name)
            }

            /// What is counted.
            pub const fn help(self) -> &'static str {
                match self { $(Counter::$variant => concat!($($doc),*),)* }
            }
        }
    };
}

counters! {
    /// Descriptors taken over, or inherited by fork(2).
    Adopted = "adopted",
    /// Descriptors refused because they could not be guarded.
    Refused = "refused",
    /// Connections accepted by a guarded listener.
    Accepted = "accepted",
    /// WebSockets and Socket.IO sessions refused with 429, because their client had begun too many.
    RejectedConnections = "rejected_connections",
    /// Descriptors closed by their last user.
    Closed = "closed",
    /// Descriptors given back to the caller.
    Detached = "detached",
    /// Descriptors that foreign code closed; their numbers were left alone.
    Stolen = "stolen",
    /// Operations that failed because the peer had left.
    PeerGone = "peer_gone",
    /// Operations that failed because the path to the peer broke.
    PathBroken = "path_broken",
    /// Writes refused because our own side had closed: each would have been EBADF, or reached a stranger.
    WritesPrevented = "writes_prevented",
    /// Connections used by the server after the application closed them, and numbers found stolen.
    OwnershipViolations = "ownership_violations",
    /// HTTP responses kept out of an upgraded connection's stream.
    ResponsesRefused = "responses_refused",
    /// HTTP requests whose client left before it had its response, as Django and Flask applications found.
    RequestsAbandoned = "requests_abandoned",
    /// Episodes in which accepting paused for want of descriptors.
    AcceptPauses = "accept_pauses",
    /// Connections that lingered before their close.
    Lingered = "lingered",
    /// Connections whose linger was ended by the deadline.
    LingerExpired = "linger_expired",
    /// WebSockets taken over.
    WebSockets = "websockets",
    /// WebSockets that are over.
    WebSocketsClosed = "websockets_closed",
    /// WebSockets closed because too much waited to be sent to them.
    QueueOverflows = "queue_overflows",
    /// WebSockets closed because their client took nothing of what waited.
    WriteStalls = "write_stalls",
    /// Messages dropped because too much waited to be sent to their client.
    MessagesDropped = "messages_dropped",
    /// Messages that a newer one of their key replaced while they waited.
    MessagesCoalesced = "messages_coalesced",
    /// Messages of WebSocket clients that were handed to the application.
    MessagesReceived = "messages_received",
    /// WebSocket frames that the kernel took whole.
    FramesSent = "frames_sent",
    /// Bytes received from WebSocket clients.
    WebSocketBytesReceived = "websocket_bytes_received",
    /// Bytes sent to WebSocket clients.
    WebSocketBytesSent = "websocket_bytes_sent",
    /// Messages that ASGI applications sent to clients that had left.
    AsgiSendsAfterGone = "asgi_sends_after_gone",
    /// Clients of ASGI servers given up because they answered no heartbeat.
    AsgiSilentClients = "asgi_silent_clients",
    /// Clients of ASGI servers given up because they said nothing.
    AsgiIdleClients = "asgi_idle_clients",
    /// Clients of ASGI servers given up because they took nothing of what waited.
    AsgiSlowClients = "asgi_slow_clients",
    /// Clients of ASGI servers given up because too much waited to be sent to them.
    AsgiQueueOverflows = "asgi_queue_overflows",
    /// Sessions of Engine.IO that began.
    SessionsOpened = "sessions_opened",
    /// Sessions of Engine.IO that are over.
    SessionsClosed = "sessions_closed",
    /// Connections passed to the worker whose session they are about, or that has the fewest.
    ConnectionsPassed = "connections_passed",
    /// Sessions taken in, with their WebSocket, from a worker that left.
    SessionsMoved = "sessions_moved",
    /// Messages that a worker was not told, for want of room or because it had gone.
    SiblingMessagesLost = "sibling_messages_lost",
    /// Messages for other machines that were dropped: the message queue did not take them, and too many waited.
    QueueMessagesLost = "queue_messages_lost",
    /// Log records about clients that left, made DEBUG.
    LogDemoted = "log_demoted",
    /// Log records about clients that left, stopped.
    LogDropped = "log_dropped",
    /// Log records about clients that left, counted and left as they were.
    LogCounted = "log_counted",
}
