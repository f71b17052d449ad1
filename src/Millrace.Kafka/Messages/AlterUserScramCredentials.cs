using Millrace.Kafka.Wire;

namespace Millrace.Kafka.Messages;

/// <summary>AlterUserScramCredentials (key 51), version 0.</summary>
public sealed class AlterUserScramCredentialsRequest : IWireStruct
{
    public List<ScramCredentialDeletion> Deletions = [];
    public List<ScramCredentialUpsertion> Upsertions = [];

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Structs(ref Deletions);
        codec.Structs(ref Upsertions);
    }

    public sealed class ScramCredentialDeletion : IWireStruct
    {
        public string Name = "";
        public sbyte Mechanism;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Int8(ref Mechanism);
        }
    }

    public sealed class ScramCredentialUpsertion : IWireStruct
    {
        public string Name = "";
        public sbyte Mechanism;
        public int Iterations;
        public ReadOnlyMemory<byte> Salt;
        public ReadOnlyMemory<byte> SaltedPassword;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref Name);
            codec.Int8(ref Mechanism);
            codec.Int32(ref Iterations);
            codec.Bytes(ref Salt);
            codec.Bytes(ref SaltedPassword);
        }
    }
}

/// <summary>The answer to <see cref="AlterUserScramCredentialsRequest"/>.</summary>
public sealed class AlterUserScramCredentialsResponse : IThrottledResponse
{
    public int ThrottleTimeMs;
    public List<AlterUserScramCredentialsResult> Results = [];

    int IThrottledResponse.ThrottleTimeMs
    {
        set => ThrottleTimeMs = value;
    }

    public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
    {
        codec.Int32(ref ThrottleTimeMs);
        codec.Structs(ref Results);
    }

    public sealed class AlterUserScramCredentialsResult : IWireStruct
    {
        public string User = "";
        public ErrorCode ErrorCode;
        public string? ErrorMessage;

        public void Serialize<TCodec>(ref TCodec codec) where TCodec : IWireCodec, allows ref struct
        {
            codec.String(ref User);
            codec.Error(ref ErrorCode);
            codec.NullableString(ref ErrorMessage);
        }
    }
}
