using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>An answer that tells its client how long it is left unread, because it is over a quota (KIP-219); 0: it is not.</summary>
public interface IThrottledResponse : IWireStruct
{
    int ThrottleTimeMs { set; }
}
