namespace Millrace.Coordination.Grpc.Http2;

/// <summary>RFC 9113, section 7.</summary>
internal enum Http2Error
{
    None = 0,
    Protocol = 1,
    Internal = 2,
    FlowControl = 3,
    StreamClosed = 5,
    FrameSize = 6,
    RefusedStream = 7,
    Cancel = 8,
    Compression = 9,
    EnhanceYourCalm = 11,
}

/// <summary>The other side broke the protocol so that its connection must end.</summary>
internal sealed class Http2Exception(Http2Error code, string message) : Exception(message)
{
    public Http2Error Code => code;
}
