using System.Security.Cryptography.X509Certificates;

namespace Millrace.Log.Security;

/// <summary>Which certificates clients may (or must) show, and who they are by them. Immutable; thread-safe.</summary>
/// <param name="Authorities">Who signs clients' certificates; nobody else is believed, not even the machine's own list.</param>
/// <param name="Required">Whether a client without one is turned away.</param>
/// <param name="Names">How a name follows from the subject.</param>
public sealed record ClientCertificates(X509Certificate2Collection Authorities, bool Required, PrincipalNames Names)
{
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    /// <summary>The certificate of this process's own clients, made anew at each start and signed by nobody.</summary>
    public X509Certificate2? Own { get; init; }

    /// <summary>Whether a connection with this certificate, or none, may go on.</summary>
    internal bool Accepts(X509Certificate2? certificate, DateTimeOffset now)
    {
        if (certificate is null)
            return !Required;
        if (IsOwn(certificate))
            return true;
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(Authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.VerificationTime = now.UtcDateTime;
        chain.ChainPolicy.ApplicationPolicy.Add(new System.Security.Cryptography.Oid(ClientAuthentication));
        chain.ChainPolicy.DisableCertificateDownloads = true;
        return chain.Build(certificate);
    }

    internal bool IsOwn(X509Certificate2 certificate) => Own is not null && Own.RawDataMemory.Span.SequenceEqual(certificate.RawDataMemory.Span);
}
