using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>DescribeUserScramCredentials (key 50), version 0.</summary>
public sealed class DescribeUserScramCredentialsRequest : IWireStruct
{
    public List<UserName>? Users;

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.NullableStructs(ref Users);
    }

    public sealed class UserName : IWireStruct
    {
        public string Name = "";

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
        }
    }
}

/// <summary>The answer to <see cref="DescribeUserScramCredentialsRequest"/>.</summary>
public sealed class DescribeUserScramCredentialsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public ErrorCode ErrorCode;
    public string? ErrorMessage;
    public List<DescribeUserScramCredentialsResult> Results = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Error(ref ErrorCode);
        codec.NullableString(ref ErrorMessage);
        codec.Structs(ref Results);
    }

    public sealed class DescribeUserScramCredentialsResult : IWireStruct
    {
        public string User = "";
        public ErrorCode ErrorCode;
        public string? ErrorMessage;
        public List<CredentialInfo> CredentialInfos = [];

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref User);
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
            codec.Structs(ref CredentialInfos);
        }
    }

    public sealed class CredentialInfo : IWireStruct
    {
        public sbyte Mechanism;
        public int Iterations;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.Int8(ref Mechanism);
            codec.Int32(ref Iterations);
        }
    }
}
