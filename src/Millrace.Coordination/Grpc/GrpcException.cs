namespace Millrace.Coordination.Grpc;

/// <summary>gRPC's status codes that are used here.</summary>
internal static class GrpcCodes
{
    public const int Ok = 0;
    public const int Canceled = 1;
    public const int Unknown = 2;
    public const int InvalidArgument = 3;
    public const int DeadlineExceeded = 4;
    public const int ResourceExhausted = 8;
    public const int Unimplemented = 12;
    public const int Internal = 13;
    public const int Unavailable = 14;
}

/// <summary>Ends a call with a status.</summary>
internal sealed class GrpcException(int code, string message) : Exception(message)
{
    public int Code => code;
}
