namespace Millrace.Coordination.Grpc;

/// <summary>gRPC's status codes that are used here.</summary>
internal static class GrpcCodes
{
    public const int Ok = 0;
    public const int Canceled = 1;
    public const int Unknown = 2;
    public const int InvalidArgument = 3;
    public const int DeadlineExceeded = 4;
    public const int PermissionDenied = 7;
    public const int ResourceExhausted = 8;
    public const int Unimplemented = 12;
    public const int Internal = 13;
    public const int Unavailable = 14;

    /// <summary>As the gRPC libraries spell it.</summary>
    public static string NameOf(int code) => code switch
    {
        Ok => "OK",
        Canceled => "Canceled",
        InvalidArgument => "InvalidArgument",
        DeadlineExceeded => "DeadlineExceeded",
        5 => "NotFound",
        PermissionDenied => "PermissionDenied",
        ResourceExhausted => "ResourceExhausted",
        9 => "FailedPrecondition",
        11 => "OutOfRange",
        Unimplemented => "Unimplemented",
        Internal => "Internal",
        Unavailable => "Unavailable",
        16 => "Unauthenticated",
        _ => "Unknown",
    };
}

/// <summary>Ends a call with a status.</summary>
internal sealed class GrpcException(int code, string message) : Exception(message)
{
    public int Code => code;
}
