using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Millrace.Schemas;

/// <summary>Which servers an HTTP client believes, by the settings that Kafka's clients have for it.</summary>
public static class HttpTrust
{
    /// <summary>The setting of the one certificate that is believed: its SHA-256 in hexadecimal digits.</summary>
    public const string PinnedCertificate = "millrace.certificate.sha256";

    /// <param name="options">Is changed.</param>
    /// <param name="login"><c>ssl.ca.location</c>: believe who this file signs; <see cref="PinnedCertificate"/>: believe one.</param>
    /// <exception cref="IOException">There is no such file, or nothing in it.</exception>
    public static void Apply(SslClientAuthenticationOptions options, IReadOnlyDictionary<string, string>? login)
    {
        if (login is null)
            return;
        if (login.GetValueOrDefault(PinnedCertificate) is { Length: > 0 } pinned)
        {
            // It is known by its bytes, whatever name it has and whoever signed it.
            options.RemoteCertificateValidationCallback = (_, shown, _, _) =>
                shown is not null && shown.GetCertHashString(HashAlgorithmName.SHA256).Equals(pinned, StringComparison.OrdinalIgnoreCase);
        }
        else if (login.GetValueOrDefault("ssl.ca.location") is { } file)
        {
            var authorities = new X509Certificate2Collection();
            if (!File.Exists(file))
                throw new IOException($"there is no file '{file}' (ssl.ca.location)");
            authorities.ImportFromPemFile(file);
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.AddRange(authorities);
            options.CertificateChainPolicy = policy;
        }
    }
}
